"""JupyterLab in a real browser: what the browser tests use, and how fast a slider moves a stepper.

    python tools/browser.py latency    # 100 key presses, to nbs/results/latency.json
    python tools/browser.py picture    # a screenshot for the front page, nbs/images/stepper.png

Needs Chromium (on Debian: apt-get install chromium), playwright and jupyterlab.
"""
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastcore.script import Param, call_parse

NBS = Path(__file__).resolve().parent.parent/"nbs"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run"]
PICTURE = ".ddpm-player img"
SLIDER = ".ddpm-player .widget-slider .noUi-handle >> nth=0"


def find_chromium() -> str | None:
    "The path of a browser"
    programs = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, programs)), None)


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    "What `what()` returns as soon as it is true"
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end: raise TimeoutError(f"not within {seconds} seconds")
        time.sleep(0.05)
    return found


def free_port() -> int:
    "A port that nobody listens to"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def start_lab(folder: Path, port: int) -> Iterator[None]:
    "A JupyterLab that serves a folder, without the user's settings"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1",
               f"--port={port}", "--allow-root", "--IdentityProvider.token=t",
               f"--notebook-dir={folder}", "--LabApp.expose_app_in_browser=True",
               "--LabApp.extension_manager=readonly"]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, JUPYTER_CONFIG_DIR=f"{home}/config",
                   JUPYTER_RUNTIME_DIR=f"{home}/run", IPYTHONDIR=f"{home}/ipython")
        server = subprocess.Popen(command, env=env, **quiet)
        try: yield
        finally:
            server.terminate()
            server.wait(20)


@contextmanager
def serve_lab(folder: Path) -> Iterator[str]:
    "The address of a new JupyterLab that serves a folder"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    def is_up() -> bool:
        try: return urllib.request.urlopen(f"{address}/api?token=t", timeout=1).status == 200
        except OSError: return False
    with start_lab(folder, port):
        wait_for(is_up)
        yield address


def open_notebook(page, address: str, name: str) -> None:
    "Open a notebook in JupyterLab, and wait until its kernel is ready"
    page.goto(f"{address}/lab/tree/{name}?reset&token=t")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("""() => {
        const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
        return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
    }""", timeout=60_000)


def run_cells(page, *marks: str) -> None:
    "Run the code cells that contain one of the marks, in their order"
    page.evaluate("""async marks => {
        const notebook = jupyterapp.shell.currentWidget.content;
        for (const [i, cell] of notebook.widgets.entries()) {
            const source = cell.model.sharedModel.getSource();
            if (cell.model.type !== 'code' || !marks.some(mark => source.includes(mark))) continue;
            notebook.activeCellIndex = i;
            await jupyterapp.commands.execute('notebook:run-cell');
        }}""", list(marks))


def wait_for_film(page) -> None:
    "Until a stepper's bar is gone and its image is there"
    hidden = "bar => getComputedStyle(bar).visibility === 'hidden'"
    page.wait_for_selector(PICTURE, timeout=60_000)
    bar, picture = page.locator(".ddpm-player .widget-hprogress").first, page.locator(PICTURE).first
    wait_for(lambda: bar.evaluate(hidden) and picture.get_attribute("src"))
    page.wait_for_timeout(300)


def has_painted(page, count: int) -> bool:
    "Whether as many images as this have been timed"
    return page.evaluate("window.times.length") == count


def time_keys(page, moves: int = 100) -> list[float]:
    "Milliseconds from a key press on the slider to the new image, loaded and about to be painted"
    page.locator(SLIDER).focus()
    page.evaluate("""selector => {
        window.times = [];
        const image = document.querySelector(selector);
        let pressed = null;
        document.addEventListener('keydown', () => {pressed = performance.now();}, true);
        image.addEventListener('load', () => requestAnimationFrame(() => {
            if (pressed !== null) window.times.push(performance.now() - pressed);
            pressed = null;
        }));}""", PICTURE)
    keys = ["ArrowRight"] * (moves // 2) + ["ArrowLeft"] * (moves - moves // 2)
    for count, key in enumerate(keys, 1):
        page.keyboard.press(key)
        wait_for(partial(has_painted, page, count), 5)
    return page.evaluate("window.times")


def write_notebook(path: Path, cells: list[str]) -> None:
    "Write a notebook of code cells"
    kernel = dict(name="python3", display_name="python3", language="python")
    empty = dict(cell_type="code", metadata={}, execution_count=None, outputs=[])
    code = [dict(empty, id=f"c{i}", source=source) for i, source in enumerate(cells)]
    nb = dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=code)
    path.write_text(json.dumps(nb))


@contextmanager
def shown_stepper(code: str) -> Iterator[tuple]:
    "A page of JupyterLab that shows the stepper that `code` makes, and the browser's version"
    from playwright.sync_api import sync_playwright
    with (tempfile.TemporaryDirectory() as folder, serve_lab(Path(folder)) as address,
          sync_playwright() as p):
        cells = ["from denoising_diffusion import stepper", code]
        write_notebook(Path(folder)/"stepper.ipynb", cells)
        browser = p.chromium.launch(executable_path=find_chromium(), args=ARGS)
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        open_notebook(page, address, "stepper.ipynb")
        run_cells(page, "stepper")
        wait_for_film(page)
        yield page, browser.version
        browser.close()


ALL_STEPS = """
player = stepper("numbers_guided", n=16)
player.controls["rule"].value = "ddpm"
player.controls["sampling_timesteps"].value = 100
player.wait()"""


def latency() -> dict:
    "How long a slider takes to show the next image, kept in nbs/results/latency.json"
    with shown_stepper(ALL_STEPS) as (page, version):
        times = sorted(time_keys(page))
    found = dict(moves=len(times), median_ms=statistics.median(times), p95_ms=times[94],
                 max_ms=times[-1])
    found = {name: round(value, 1) for name, value in found.items()}
    found |= dict(film="100 steps of 16 digits", browser=f"headless Chromium {version}",
                  cores=os.cpu_count(), machine=platform.machine())
    (NBS/"results"/"latency.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def picture(presses: int = 6) -> Path:
    "A screenshot of a stepper some steps from the noise, for the front page"
    path = NBS/"images"/"stepper.png"
    with shown_stepper("stepper('numbers_guided', n=9)") as (page, _):
        page.locator(SLIDER).focus()
        for _ in range(presses): page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
        page.locator(".ddpm-player").first.screenshot(path=path)
    return path


@call_parse
def main(
    command: Param("what to make", str, choices=("latency", "picture")),
):
    "Measure a stepper in a browser, or take a screenshot of it"
    print(dict(latency=latency, picture=picture)[command]())
