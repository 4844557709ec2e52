"""The steppers in a real browser: live in JupyterLab, and as a page with the network cut. Without Chromium they are skipped."""
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

import pytest
import torch
from conftest import ROOT

from denoising_diffusion import load_pretrained
from denoising_diffusion.ddim import ddim_rule
from denoising_diffusion.widgets import sample_film

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PICTURE = ".ddpm-player img"


@pytest.fixture(scope="module")
def chromium():
    "A browser, or a skip that says what is missing"
    api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER TESTS: pip install playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if path is None: pytest.skip("NO BROWSER TESTS: there is no Chromium (on Debian: apt-get install chromium)")
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


def watched(chromium, **options):
    "A page, and what its console had to complain about"
    page, errors = chromium.new_page(**options), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return page, errors


def wait_for(what, seconds=60):
    "Until `what()` is true"
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.05)
    return found


# A page of its own, offline


@pytest.fixture(scope="module")
def film_page(tmp_path_factory):
    film = sample_film(load_pretrained("numbers_guided"), scale=2.0, rule=ddim_rule(0.0), steps=12, n=4)
    return film, film.save(tmp_path_factory.mktemp("film")/"digits.html")


@pytest.fixture
def offline(chromium, film_page):
    film, path = film_page
    page, errors = watched(chromium, viewport=dict(width=390, height=700))
    page.context.set_offline(True)
    page.goto(path.as_uri())
    yield film, page
    page.close()
    assert errors == []


def seen(page): return page.locator("img").get_attribute("src"), page.locator(".caption").inner_text()
def expected(film, i):
    import base64
    return "data:image/png;base64," + base64.b64encode(film.pictures[i]).decode(), film.captions[i]


def test_a_page_answers_the_keys(offline):
    film, page = offline
    slider = page.get_by_role("slider")
    assert seen(page) == expected(film, 11)
    slider.focus()
    for key, i in [("ArrowLeft", 10), ("ArrowLeft", 9), ("Home", 0), ("ArrowRight", 1), ("End", 11)]:
        page.keyboard.press(key)
        assert seen(page) == expected(film, i), key
        assert slider.get_attribute("aria-valuetext") == film.captions[i]
        assert film.captions[i] in page.locator("img").get_attribute("alt")
    assert page.locator("img").evaluate("i => i.complete && i.naturalWidth > 0")


def test_a_page_answers_the_mouse(offline):
    film, page = offline
    box = page.get_by_role("slider").bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)
    assert seen(page) == expected(film, 0)
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert seen(page)[1] in film.captions[4:8]


def test_a_page_plays_to_the_end_and_again_in_a_loop(offline):
    film, page = offline
    page.get_by_label("speed").select_option("fast")
    page.get_by_role("button", name="Play").click()
    wait_for(lambda: seen(page) == expected(film, 11) and page.get_by_role("button").inner_text() == "Play")
    page.get_by_label("loop").check()
    page.get_by_role("button", name="Play").click()
    wait_for(lambda: page.evaluate("document.querySelector('input[type=range]').value") == "11")
    wait_for(lambda: page.evaluate("document.querySelector('input[type=range]').value") == "2")
    page.get_by_role("button", name="Pause").click()
    stopped = seen(page)
    page.wait_for_timeout(300)
    assert seen(page) == stopped


def test_a_page_fits_a_phone(offline):
    _, page = offline
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# JupyterLab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "The address of a JupyterLab that serves a copy of the notebooks"
    pytest.importorskip("jupyterlab", reason="NO BROWSER TESTS OF JUPYTERLAB: pip install jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT/"nbs", home/"nbs", ignore=shutil.ignore_patterns("_quarto.yml", ".ipynb_checkpoints"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = dict(os.environ, JUPYTER_CONFIG_DIR=str(home/"config"), JUPYTER_DATA_DIR=str(home/"data"), JUPYTER_RUNTIME_DIR=str(home/"run"),
               IPYTHONDIR=str(home/"ipython"))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root", "--IdentityProvider.token=t",
               f"--notebook-dir={home/'nbs'}", "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
    with open(home/"log", "w") as log: server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    def up():
        try: return urllib.request.urlopen(f"{address}/api?token=t", timeout=1).status == 200
        except OSError: return False
    try:
        wait_for(up)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def stepper_page(chromium, lab):
    "31_numbers, open in JupyterLab, with the cells run that its stepper needs"
    page, errors = watched(chromium, viewport=dict(width=1280, height=1000))
    page.goto(f"{lab}/lab/tree/31_numbers.ipynb?reset&token=t")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("""() => {
        const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
        return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';}""", timeout=60_000)
    page.evaluate("""async () => {
        const notebook = jupyterapp.shell.currentWidget.content;
        for (const [i, cell] of notebook.widgets.entries()) {
            const source = cell.model.sharedModel.getSource();
            if (cell.model.type !== 'code' || !(source.includes('import stepper') || source.includes('import film_html') || source.startsWith('stepper('))) continue;
            notebook.activeCellIndex = i;
            await jupyterapp.commands.execute('notebook:run-cell');
        }}""")
    page.wait_for_selector(PICTURE, timeout=60_000)
    page.locator(PICTURE).scroll_into_view_if_needed()
    yield page
    assert [e for e in errors if "favicon" not in e] == []
    page.close()


def picture(page): return page.locator(PICTURE).get_attribute("src")
def caption(page): return next(t for t in page.locator(".ddpm-player .widget-html-content").all_inner_texts() if "t = " in t or t.startswith("t"))
def sampled(page):
    "Wait until the bar is gone and a last picture is there"
    wait_for(lambda: page.locator(".ddpm-player .widget-hprogress").evaluate("b => getComputedStyle(b).visibility") == "hidden" and picture(page))
    page.wait_for_timeout(200)


def press(page, key):
    "Press a key on the slider, and wait for another picture"
    was = picture(page)
    page.keyboard.press(key)
    wait_for(lambda: picture(page) != was, 5)


def test_keys_turn_the_pages(stepper_page):
    page = stepper_page
    sampled(page)
    page.locator(".ddpm-player .widget-slider .noUi-handle").last.focus()
    assert "t = 0," in caption(page)
    press(page, "ArrowLeft")
    wait_for(lambda: "t = 1," in caption(page), 5)
    press(page, "Home")
    wait_for(lambda: "t = 99," in caption(page), 5)
    press(page, "ArrowRight")
    wait_for(lambda: "t = 98," in caption(page), 5)


def test_the_slider_can_be_dragged(stepper_page):
    page, was = stepper_page, picture(stepper_page)
    handle = page.locator(".ddpm-player .widget-slider .noUi-handle").last
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    wait_for(lambda: picture(page) != was and "t = 98," not in caption(page), 5)


def test_play_plays(stepper_page):
    page = stepper_page
    page.locator(".ddpm-player .widget-play button").first.click()
    seen = set()
    wait_for(lambda: len(seen.add(caption(page)) or seen) > 5, 20)
    page.locator(".ddpm-player .widget-play button").first.click()


def test_another_label_and_scale_give_other_pictures(stepper_page):
    page = stepper_page
    page.locator(".ddpm-player .widget-slider .noUi-handle").last.focus()
    page.keyboard.press("End")
    wait_for(lambda: "t = 0," in caption(page), 5)
    pictures = [picture(page)]
    page.locator(".ddpm-player select").nth(1).select_option("7")
    page.wait_for_timeout(500)
    sampled(page)
    pictures.append(picture(page))
    page.locator(".ddpm-player .widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    sampled(page)
    pictures.append(picture(page))
    assert len(set(pictures)) == 3
