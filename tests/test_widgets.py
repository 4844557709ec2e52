"What a kernel keeps of steppers that were opened and closed."
from pathlib import Path

import pytest

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
