"""JupyterLab in a real browser: what the browser tests use, and how fast a slider turns a stepper's pages.

    python tools/browser.py latency    # 100 key presses; writes nbs/results/latency.json
    python tools/browser.py picture    # a screenshot for the front page; writes nbs/images/stepper.png

Needs Chromium (on Debian: apt-get install chromium), playwright and jupyterlab.
"""
import argparse
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
from contextlib import contextmanager
from pathlib import Path

NBS = Path(__file__).resolve().parent.parent/"nbs"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PICTURE = ".ddpm-player img"
SLIDER = ".ddpm-player .widget-slider .noUi-handle >> nth=-1"


def find_chromium() -> str | None:
    "The path of a browser"
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def wait_for(what, seconds: float = 60):
    "What `what()` says as soon as it is true"
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end: raise TimeoutError(f"not within {seconds} seconds")
        time.sleep(0.05)
    return found


@contextmanager
def serve_lab(folder: Path):
    "A JupyterLab of its own that serves a folder, with nothing of the user's settings; its address"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    def is_up():
        try: return urllib.request.urlopen(f"{address}/api?token=t", timeout=1).status == 200
        except OSError: return False
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, JUPYTER_CONFIG_DIR=f"{home}/config", JUPYTER_RUNTIME_DIR=f"{home}/run", IPYTHONDIR=f"{home}/ipython")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
                   "--IdentityProvider.token=t", f"--notebook-dir={folder}", "--LabApp.expose_app_in_browser=True",
                   "--LabApp.extension_manager=readonly"]
        server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(is_up)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def open_notebook(page, address: str, name: str) -> None:
    "Open a notebook in JupyterLab, and wait until its kernel is ready"
    page.goto(f"{address}/lab/tree/{name}?reset&token=t")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("""() => {
        const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
        return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';}""", timeout=60_000)


def run_cells(page, *marks: str) -> None:
    "Run the code cells that hold one of the marks, in their order"
    page.evaluate("""async marks => {
        const notebook = jupyterapp.shell.currentWidget.content;
        for (const [i, cell] of notebook.widgets.entries()) {
            const source = cell.model.sharedModel.getSource();
            if (cell.model.type !== 'code' || !marks.some(mark => source.includes(mark))) continue;
            notebook.activeCellIndex = i;
            await jupyterapp.commands.execute('notebook:run-cell');
        }}""", list(marks))


def wait_for_film(page) -> None:
    "Until a stepper's bar is gone and its picture is there"
    hidden = "bar => getComputedStyle(bar).visibility === 'hidden'"
    page.wait_for_selector(PICTURE, timeout=60_000)
    wait_for(lambda: page.locator(".ddpm-player .widget-hprogress").first.evaluate(hidden) and page.locator(PICTURE).first.get_attribute("src"))
    page.wait_for_timeout(300)


def time_keys(page, moves: int = 100) -> list[float]:
    "Milliseconds from a key press on the slider to the new picture, loaded and about to be painted"
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
    for i in range(moves):
        page.keyboard.press("ArrowRight" if i < moves // 2 else "ArrowLeft")
        wait_for(lambda: page.evaluate("window.times.length") == i + 1, 5)
    return page.evaluate("window.times")


@contextmanager
def shown_stepper(code: str):
    "A page of JupyterLab that shows the stepper that `code` makes, and the browser's version"
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as folder, serve_lab(Path(folder)) as address, sync_playwright() as p:
        cells = ["from denoising_diffusion import stepper", code]
        nb = dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=dict(name="python3", display_name="python3", language="python")),
                  cells=[dict(cell_type="code", id=f"c{i}", metadata={}, execution_count=None, outputs=[], source=s) for i, s in enumerate(cells)])
        (Path(folder)/"stepper.ipynb").write_text(json.dumps(nb))
        browser = p.chromium.launch(executable_path=find_chromium(), args=ARGS)
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        open_notebook(page, address, "stepper.ipynb")
        run_cells(page, "stepper")
        wait_for_film(page)
        yield page, browser.version
        browser.close()


def latency() -> dict:
    "How long a slider takes to turn a page, kept in nbs/results/latency.json"
    with shown_stepper("stepper('numbers_guided', n=16)") as (page, version): times = sorted(time_keys(page))
    found = dict(moves=len(times), median_ms=round(statistics.median(times), 1), p95_ms=round(times[94], 1), max_ms=round(times[-1], 1),
                 film="100 steps of 16 digits", browser=f"headless Chromium {version}", cores=os.cpu_count(), machine=platform.machine())
    (NBS/"results"/"latency.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def picture(presses: int = 40) -> Path:
    "A stepper some steps on its way, for the front page"
    path = NBS/"images"/"stepper.png"
    with shown_stepper("stepper('numbers_guided', n=9)") as (page, _):
        page.locator(SLIDER).focus()
        for _ in range(presses): page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
        box = page.locator(".ddpm-player").first.bounding_box()
        page.screenshot(path=path, clip=dict(box, width=730))  # to its right there is nothing
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("latency", "picture"))
    print(dict(latency=latency, picture=picture)[parser.parse_args().command]())


if __name__ == "__main__": main()
