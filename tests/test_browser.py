"""The steppers in a real browser: live in JupyterLab, and as a page with the network cut.

Without Chromium they are skipped."""
import base64
import json
import re
import shutil

import pytest
from conftest import ROOT, load_tool

from denoising_diffusion import load_pretrained
from denoising_diffusion.films import sample_film
from denoising_diffusion.samplers import resolve_sampling

tool = load_tool("browser")
wait_for, PICTURE, SLIDER = tool.wait_for, tool.PICTURE, tool.SLIDER


@pytest.fixture(scope="module")
def chromium():
    "A browser, or a skip that says what is missing"
    why = "NO BROWSER TESTS: pip install playwright"
    api = pytest.importorskip("playwright.sync_api", reason=why)
    path = tool.find_chromium()
    if path is None: pytest.skip("NO BROWSER TESTS: on Debian, apt-get install chromium")
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=tool.ARGS)
        yield browser
        browser.close()


def watched(chromium, **options):
    "A page, and what its console had to complain about"
    page, errors = chromium.new_page(**options), []

    def keep(message):
        if message.type == "error": errors.append(message.text)

    page.on("console", keep)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return page, errors


# A page of its own, offline


@pytest.fixture(scope="module")
def film_page(tmp_path_factory):
    model = load_pretrained("numbers_guided")
    film = sample_film(model, 4, rule="ddim", sampling_timesteps=12)
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


def seen(page):
    "The source of the picture, and the caption"
    return page.locator("img").get_attribute("src"), page.locator(".caption").inner_text()


def expected(film, i):
    "The same for picture i of a film"
    picture = base64.b64encode(film.pictures[i]).decode()
    return f"data:image/png;base64,{picture}", film.captions[i]


def test_a_page_answers_the_keys(offline):
    film, page = offline
    slider = page.get_by_role("slider")
    assert seen(page) == expected(film, 12)
    slider.focus()
    keys = [("ArrowLeft", 11), ("ArrowLeft", 10), ("Home", 0), ("ArrowRight", 1), ("End", 12)]
    for key, i in keys:
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
    assert seen(page)[1] in film.captions[4:9]


def test_a_page_plays_to_the_end_and_again_in_a_loop(offline):
    film, page = offline
    page.get_by_label("speed").select_option("fast")
    page.get_by_role("button", name="Play").click()
    wait_for(lambda: seen(page) == expected(film, 12))
    wait_for(lambda: page.get_by_role("button").inner_text() == "Play")
    page.get_by_label("loop").check()
    page.get_by_role("button", name="Play").click()
    slider = page.get_by_role("slider")
    wait_for(lambda: slider.input_value() == "12")
    wait_for(lambda: slider.input_value() == "2")
    page.get_by_role("button", name="Pause").click()
    stopped = seen(page)
    assert stopped in [expected(film, i) for i in range(13)]
    page.wait_for_timeout(300)
    assert seen(page) == stopped


def test_a_film_shown_twice_has_two_lives(chromium, film_page):
    film, _ = film_page
    page, errors = watched(chromium)
    page.set_content(film.to_html() * 2)
    for i, slider in enumerate(page.get_by_role("slider").all()):
        slider.focus()
        page.keyboard.press("Home")
        captions = [film.captions[0]] * (i + 1) + [film.captions[12]] * (1 - i)
        assert page.locator(".caption").all_inner_texts() == captions
    assert errors == []
    page.close()


def test_a_page_fits_a_phone(offline):
    _, page = offline
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for control in (page.get_by_role("slider"), page.locator(".ddpm-film .row")):
        assert control.bounding_box()["height"] >= 24  # a finger finds it


def test_a_film_that_is_taken_away_stops(chromium, film_page):
    page, errors = watched(chromium)
    page.clock.install()
    page.set_content(film_page[0].to_html())
    page.get_by_label("loop").check()
    page.get_by_role("button", name="Play").click()
    slider = page.get_by_role("slider").element_handle()
    page.clock.run_for(2000)
    seen = {page.locator(".ddpm-film").evaluate("""film => {
        film.remove();
        return film.querySelector("input[type=range]").value;}""")}
    for _ in range(5):
        page.clock.run_for(1100)
        seen.add(slider.evaluate("s => s.value"))
    assert len(seen) == 1 and errors == []
    page.close()


def test_a_film_of_one_picture_has_no_controls(chromium, film_page):
    film, _ = film_page
    one = film._replace(pictures=film.pictures[:1], captions=film.captions[:1])
    page, errors = watched(chromium)
    page.set_content(one.to_html())
    assert page.locator("button, input, select, .hint").count() == 0
    assert page.locator(".caption").inner_text() == film.captions[0]
    assert page.locator("img").evaluate("i => i.clientWidth") > 300
    assert errors == []
    page.close()


# JupyterLab


OWN = """
from threading import Event
from PIL import Image
from denoising_diffusion.pages import Film
from denoising_diffusion.players import Player

gate = Event()
def make(progress, show):
    whole = Film([Image.new("L", (40, 20), 60 * i)._repr_png_() for i in range(4)],
                 [f"t = {i}" for i in range(4)], "Own")
    for i in progress(range(4), total=4):
        if i == 2: gate.wait(60)
        show(whole._replace(pictures=whole.pictures[:i + 1], captions=whole.captions[:i + 1]), 4)
    return whole
"""
TWICE = """
from PIL import Image
from denoising_diffusion.pages import Film
from denoising_diffusion.players import Player

picture = Image.new("L", (40, 20))._repr_png_()
twice = Player(None, {})
twice.show(Film([picture] * 2, ["before"] * 2))
"""
CELLS = {
    "twice": [TWICE, "twice  # first", "twice  # second", "twice.show(Film([picture], ['after']))"],
    "few": ["from denoising_diffusion import stepper", "stepper('numbers_guided', n=4)"],
    "fits": ["from denoising_diffusion import ddim_explorer, stepper", "stepper(n=16)",
             "ddim_explorer('spiral')"],
    "own": [OWN, "own = Player(make, {}, 'time').render(); own", "gate.set()"],
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, film_page):
    "The address of a JupyterLab, and the folder that it serves"
    why = "NO BROWSER TESTS OF JUPYTERLAB: pip install jupyterlab"
    pytest.importorskip("jupyterlab", reason=why)
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT/"nbs"/"61_numbers.ipynb", folder)
    shutil.copytree(ROOT/"nbs"/"results", folder/"results")  # the pictures that it links
    for name, cells in CELLS.items(): tool.write_notebook(folder/f"{name}.ipynb", cells)
    tool.write_notebook(folder/"untrusted.ipynb", ["film"])
    nb = json.loads((folder/"untrusted.ipynb").read_text())
    data = {"text/html": film_page[0].to_html(), "text/plain": "a film"}
    output = dict(output_type="display_data", metadata={}, data=data)
    nb["cells"][0]["outputs"] = [output]
    (folder/"untrusted.ipynb").write_text(json.dumps(nb))
    with tool.serve_lab(folder) as address: yield address, folder


@pytest.fixture(scope="module")
def stepper_page(chromium, lab):
    "61_numbers, open in JupyterLab, with the cells run that its stepper needs"
    page, errors = watched(chromium, viewport=dict(width=1280, height=1000))
    tool.open_notebook(page, lab[0], "61_numbers.ipynb")
    tool.run_cells(page, "import stepper", 'stepper("numbers_guided"')
    tool.wait_for_film(page)
    page.locator(PICTURE).scroll_into_view_if_needed()
    yield page
    assert errors == []
    page.close()


@pytest.fixture
def open_page(chromium, lab):
    "A function that opens a notebook in a page of the size of a projector"
    pages = []

    def open_named(name, *marks):
        page, _ = watched(chromium, viewport=dict(width=1280, height=720))
        pages.append(page)
        tool.open_notebook(page, lab[0], f"{name}.ipynb")
        if marks: tool.run_cells(page, *marks)
        return page

    yield open_named
    for page in pages: page.close()


def picture(page):
    "The pixels of the picture, as a PNG file: its address differs even for the same picture"
    return page.locator(PICTURE).evaluate("""async image => {
        // where another picture comes while one is decoded, that one is meant
        for (let address; address !== image.src;) {
            address = image.src;
            try { await image.decode(); } catch (error) { if (address === image.src) throw error; }
        }
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        canvas.getContext("2d").drawImage(image, 0, 0);
        const png = await (await canvas.convertToBlob()).arrayBuffer();
        return Array.from(new Uint8Array(png)).join();}""")

def caption(page):
    "The line that says where the film is"
    texts = page.locator(".ddpm-player .widget-html-content").all_inner_texts()
    return next(text for text in texts if text.startswith("t = "))


def recommended_times():
    "The times of the stepper's first film, from T to 0"
    return resolve_sampling(load_pretrained("numbers_guided"))["sampling_timesteps"]


def set_steps(page, *keys):
    "Press keys on the slider for the number of steps, and wait for the film"
    page.locator(".ddpm-player .widget-slider .noUi-handle").nth(3).focus()
    for key in keys: page.keyboard.press(key)
    page.wait_for_timeout(500)
    tool.wait_for_film(page)


def wait_for_caption(page, text): wait_for(lambda: text in caption(page))


def press(page, key):
    "Press a key on the slider, and wait for another picture"
    was = picture(page)
    page.keyboard.press(key)
    wait_for(lambda: picture(page) != was)


def test_keys_turn_the_pages(stepper_page):
    page, times = stepper_page, recommended_times()
    page.locator(SLIDER).focus()
    assert "t = 100," in caption(page)
    keys = [("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2), ("Home", 0), ("ArrowRight", 1)]
    for key, i in keys:
        press(page, key)
        wait_for_caption(page, f"t = {times[i]},")


def test_the_slider_can_be_dragged(stepper_page):
    page, was = stepper_page, picture(stepper_page)
    second = f"t = {recommended_times()[1]},"
    assert second in caption(page)
    handle = page.locator(SLIDER)
    handle.hover()  # scrolls to where nothing covers it
    box = handle.bounding_box()
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    wait_for(lambda: picture(page) != was and second not in caption(page))


def test_play_plays(stepper_page):
    page = stepper_page
    page.locator(SLIDER).focus()
    press(page, "Home")
    page.locator(".ddpm-player .widget-play button").first.click()
    seen = set()
    wait_for(lambda: len(seen.add(caption(page)) or seen) > 5)
    page.locator(".ddpm-player .widget-play button").first.click()
    page.locator(SLIDER).focus()
    press(page, "End")
    wait_for_caption(page, "t = 0,")


def test_another_label_and_scale_give_other_pictures(stepper_page):
    page = stepper_page
    pictures = [picture(page)]
    page.locator(".ddpm-player").get_by_role("combobox", name="label").select_option("7")

    def opacity(): return page.locator(PICTURE).evaluate("i => getComputedStyle(i).opacity")

    wait_for(lambda: opacity() == "0.4")  # the old picture, while a new one is made
    tool.wait_for_film(page)
    assert opacity() == "1"
    pictures.append(picture(page))
    page.locator(".ddpm-player .widget-slider .noUi-handle").nth(1).focus()  # guidance
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    tool.wait_for_film(page)
    pictures.append(picture(page))
    assert len(set(pictures)) == 3


def test_end_goes_to_the_end_of_a_film_of_another_length(stepper_page):
    page = stepper_page
    set_steps(page, "Home")  # a single step
    set_steps(page, "PageUp")
    page.locator(SLIDER).focus()
    press(page, "End")
    wait_for_caption(page, "t = 0,")
    press(page, "Home")
    wait_for_caption(page, "t = 100,")


def test_a_film_of_few_pictures_is_played_slowly(stepper_page):
    page = stepper_page
    set_steps(page, "Home", "ArrowRight", "ArrowRight")  # three steps
    wait_for_caption(page, "t = 100,")
    page.locator(".ddpm-player .widget-play button").first.click()
    speed = page.locator(".ddpm-player").get_by_role("combobox", name="speed")
    assert speed.evaluate("s => s.selectedOptions[0].text") == "slow"
    wait_for_caption(page, "t = 0,")


# What a fresh clone, a projector and a screen reader see


def test_an_untrusted_film_is_a_picture_that_says_what_to_do(open_page):
    page = open_page("untrusted")
    output = page.locator(".jp-OutputArea-output")
    page.get_by_text("Not moving?").wait_for()
    assert output.locator("button, input, select").count() == 0
    image = output.locator("img")
    sizes = image.evaluate("i => [i.clientWidth, i.naturalWidth]")
    assert 400 <= sizes[0] <= 560 and sizes[0] == sizes[1]  # each pixel as it is: nothing blurs
    page.evaluate("void jupyterapp.commands.execute('notebook:trust')")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    output.get_by_role("slider").wait_for()
    assert page.get_by_text("Not moving?").count() == 0
    slider = output.get_by_role("slider")
    slider.press("Home")
    assert "t = 100" in output.locator(".caption").inner_text()
    slider.press("ArrowUp")  # JupyterLab must not take it to go to another cell
    assert slider.input_value() == "1"


def saved_outputs(page, path):
    "The outputs in a notebook, after it is saved"
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    nb = json.loads(path.read_text(encoding="utf-8"))
    return [output for cell in nb["cells"] for output in cell.get("outputs", [])]


def test_a_saved_stepper_opens_again_as_its_film(open_page, lab):
    page = open_page("few", "stepper")
    tool.wait_for_film(page)
    kept = page.locator(".ddpm-kept .ddpm-film")
    wait_for(lambda: kept.count() == 1)
    assert not kept.is_visible()  # the widget is there
    live, film = saved_outputs(page, lab[1]/"few.ipynb")
    assert "application/vnd.jupyter.widget-view+json" in live["data"]
    html = "".join(film["data"]["text/html"])
    assert "From noise by numbers_guided" in html and len(html) < 120_000
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.wait_for_timeout(500)
    again = open_page("few")
    slider = again.locator(".ddpm-kept").get_by_role("slider")
    slider.wait_for()
    slider.press("Home")
    assert "t = 100" in again.locator(".ddpm-kept .caption").inner_text()
    wait_for(lambda: not again.get_by_text("Error displaying widget").is_visible())


@pytest.fixture(scope="module")
def fitting_page(chromium, lab):
    "A stepper and an explorer"
    page, errors = watched(chromium, viewport=dict(width=1280, height=720))
    tool.open_notebook(page, lab[0], "fits.ipynb")
    tool.run_cells(page, "stepper", "explorer")
    wait_for(lambda: page.locator(PICTURE).count() == 2)
    has_text = "captions => captions.every(caption => caption.innerText.trim())"
    wait_for(lambda: page.locator(".ddpm-caption").evaluate_all(has_text))  # the second waits
    is_hidden = "bars => bars.every(bar => getComputedStyle(bar).visibility === 'hidden')"
    wait_for(lambda: page.locator(".ddpm-player .widget-hprogress").evaluate_all(is_hidden))
    yield page
    assert errors == []
    page.close()


@pytest.mark.parametrize("width, height, is_whole", [(1280, 720, True), (853, 480, False)])
@pytest.mark.parametrize("nth", [0, 1])
def test_slider_and_picture_fit_the_window(fitting_page, width, height, is_whole, nth):
    "On a projector the whole player does; at a zoom of 150% the slider and the picture do"
    page = fitting_page
    page.set_viewport_size(dict(width=width, height=height))
    player = page.locator(".ddpm-player").nth(nth)
    player.evaluate("p => p.scrollIntoView()")
    page.wait_for_timeout(500)
    sizes = player.evaluate("""player => {
        const box = element => element.getBoundingClientRect();
        const image = box(player.querySelector("img")), all = box(player);
        const slider = box(player.querySelector(".widget-slider"));
        const room = box(document.querySelector(".jp-NotebookPanel-notebook"));
        return {room: room.height, above: image.top - slider.top, image: image.height,
                stage: image.bottom - slider.top, whole: all.height,
                aside: image.right - all.right};}""")
    assert sizes["above"] > 0 and sizes["image"] > 100 and sizes["aside"] < 3
    assert sizes["stage"] < sizes["room"]
    if is_whole: assert sizes["whole"] < sizes["room"]


ROLES = "slider|button|combobox|spinbutton|textbox|img|progressbar"
NAMELESS = re.compile(rf'^\s*- (?:{ROLES})\b(?! ").*$', re.M)


def test_every_control_has_a_name(fitting_page):
    player = fitting_page.locator(".ddpm-player").first
    snapshot = player.aria_snapshot()
    assert NAMELESS.findall(snapshot) == []
    for name in ("guidance", "η", "number of steps", "time"):
        assert player.get_by_role("slider", name=name, exact=True).count() == 1, name
    for name in ("model", "label", "sampler", "speed"):
        assert player.get_by_role("combobox", name=name, exact=True).count() == 1, name
    assert player.get_by_role("spinbutton", name="seed").count() == 1


def test_a_control_without_a_name_is_seen():
    lines = '- slider "time": "0"\n- slider: "0"\n- button\n- combobox "a":\n- text: button'
    assert NAMELESS.findall(lines) == ['- slider: "0"', "- button"]


def test_a_stepper_starts_as_the_card_recommends_and_says_what_is_seen(fitting_page):
    player = fitting_page.locator(".ddpm-player").first
    steps = player.get_by_role("slider", name="number of steps")
    assert float(steps.get_attribute("aria-valuenow")) == 10
    sampler = player.get_by_role("combobox", name="sampler")
    assert sampler.evaluate("s => s.selectedOptions[0].text") == "UniPC"
    text = player.inner_text()
    assert "noisy images" in text and "estimates of the clean images" in text


def test_the_button_saves_a_page_under_a_new_name(fitting_page, lab):
    player = fitting_page.locator(".ddpm-player").first
    names = []

    def said(): return re.findall(r"saved as (\S+)", player.inner_text())

    for k in (1, 2):
        player.get_by_role("button", name="Save as page").press("Enter")
        wait_for(lambda k=k: len([*lab[1].glob("from-noise-by-*.html")]) == k)
        wait_for(lambda seen=tuple(names): {*said()} - {*seen})
        names += said()
    assert names[1] == names[0].replace(".html", "-2.html")
    for name in names: assert "ddpm-film" in (lab[1]/name).read_text(encoding="utf-8")


def test_the_first_frames_are_there_while_the_rest_are_made(open_page):
    page = open_page("own", "import Event", "own = Player")
    slider = page.get_by_role("slider", name="time")
    slider.wait_for()
    wait_for(lambda: float(slider.get_attribute("aria-valuemax")) == 3)
    bar = page.locator(".ddpm-player .widget-hprogress")
    slider.press("ArrowRight")
    wait_for(lambda: "t = 1" in page.locator(".ddpm-caption").inner_text())
    slider.press("End")
    wait_for(lambda: float(slider.get_attribute("aria-valuenow")) == 3)
    assert "t = 1" in page.locator(".ddpm-caption").inner_text()  # the newest there is
    assert bar.evaluate("b => getComputedStyle(b).visibility") == "visible"
    tool.run_cells(page, "gate.set()")
    wait_for(lambda: "t = 3" in page.locator(".ddpm-caption").inner_text())
    wait_for(lambda: bar.evaluate("b => getComputedStyle(b).visibility") == "hidden")


def test_a_player_in_two_cells_keeps_its_film_in_both(open_page):
    page = open_page("twice", "twice = Player", "# first", "# second")
    kept = page.locator(".ddpm-kept .caption")
    wait_for(lambda: kept.all_inner_texts() == ["before"] * 2)
    tool.run_cells(page, "twice.show(Film([picture], ")
    wait_for(lambda: kept.all_inner_texts() == ["after"] * 2)
