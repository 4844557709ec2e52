"What a kernel keeps of steppers that were opened and closed, and a notebook of a player."
from pathlib import Path
from types import SimpleNamespace

import pytest

from denoising_diffusion import players
from denoising_diffusion.pages import Film

CODE = """
import gc, os, warnings
from pathlib import Path
import ipywidgets
from denoising_diffusion import load_pretrained, stepper
digits = load_pretrained("numbers_guided")

def use():
    player = stepper(digits, n=1)
    player.controls["sampling_timesteps"].value = 5
    player.wait()
    assert len(player.film.pictures) == 6, player.status.value
    player.close()

def size():  # MB
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

for _ in range(5): use()
before, widgets = size(), len(ipywidgets.widgets.widget._instances)
for _ in range(50): use()
print(f"{size() - before:.1f} {len(ipywidgets.widgets.widget._instances) - widgets}")
"""


def test_fifty_steppers_leave_nothing_in_the_kernel():
    manager = pytest.importorskip("jupyter_client.manager", reason="needs jupyter_client")
    if not Path("/proc/self/statm").exists(): pytest.skip("memory is read from /proc")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    said = []
    try: reply = client.execute_interactive(CODE, timeout=300, output_hook=said.append)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    printed = [m["content"] for m in said if m["msg_type"] == "stream"]
    texts = [content["text"] for content in printed if content["name"] == "stdout"]
    grown, left = "".join(texts).split()
    assert float(grown) < 50 and int(left) == 0


def test_a_player_in_two_cells_keeps_its_film_in_both(monkeypatch):
    "Each display makes the small film once, and one update reaches them all"
    IPython = pytest.importorskip("IPython")
    pytest.importorskip("ipywidgets")
    made, shown, updates, small = [], [], [], players._small
    monkeypatch.setattr(players, "_small", lambda film: made.append(film) or small(film))
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr("IPython.display.display",
                        lambda bundle, raw, display_id=None: shown.append(display_id))
    monkeypatch.setattr("IPython.display.update_display",
                        lambda bundle, raw, display_id: updates.append((display_id, bundle)))
    player = players.Player(None, {})
    player.show(Film([b"PNG"], ["before"]))
    assert made == updates == []  # not seen yet
    for _ in range(2): player._ipython_display_()
    live, kept = shown[::2], shown[1::2]
    assert live == [None, None] and kept[0] and kept[0] == kept[1] and len(made) == 2
    player.show(Film([b"PNG"], ["after"]))
    assert [name for name, _ in updates] == kept[:1]
    assert "after" in updates[0][1]["text/html"]
    player.close()
