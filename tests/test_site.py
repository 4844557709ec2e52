"""The pages of the site, as far as they go without Quarto, made by tools/docs.py."""
import importlib
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, read_nb

LISTED = re.findall(r"(\w+)\.ipynb", (ROOT/"nbs"/"sidebar.yml").read_text(encoding="utf-8"))
each = pytest.mark.parametrize("name", LISTED)


@pytest.fixture(scope="session")
def made():
    "tools/docs.py, run in a process of its own: it runs cells of every notebook"
    return subprocess.run([sys.executable, "-W", "ignore", "tools/docs.py"], cwd=ROOT,
                          capture_output=True, text=True)


@pytest.fixture
def tools(monkeypatch):
    "`tools('docs')` is tools/docs.py as a module"
    monkeypatch.syspath_prepend(str(ROOT/"tools"))
    return importlib.import_module


@pytest.fixture
def page(made, tools):
    "The HTML of a page, by the name of its notebook; nbdev leaves the number out"
    def read(name):
        path = ROOT/"_proc"/"_html"/f"{re.sub(r'^[0-9]+_', '', name)}.html"
        return path.read_text(encoding="utf-8")
    return read


def title_cell(name):
    "The title of a notebook and the line under it"
    source = next(c["source"] for c in read_nb(ROOT/"nbs"/f"{name}.ipynb")["cells"]
                  if c["cell_type"] == "markdown")
    return re.fullmatch(r"# (.+)\n+> (.+)\n?", source).groups()


def test_the_docs_step_finds_no_fault(made):
    "No page is empty, fetches from elsewhere, or lacks a subtitle, picture, alt text or target"
    assert made.returncode == 0, made.stderr[-3000:]


@each
def test_title_and_subtitle(page, name):
    title, subtitle = title_cell(name)
    assert f"<h1>{title}</h1>" in page(name) and f'<p class="lead">{subtitle}</p>' in page(name)


@each
def test_every_picture_is_there_and_described(page, tools, name):
    "By more than a word. A film brings its own, and its caption with it"
    images = [attrs for tag, attrs in tools("offline").Page(page(name)).tags if tag == "img"]
    plots = [o for c in read_nb(ROOT/"nbs"/f"{name}.ipynb")["cells"] for o in c.get("outputs", [])
             if "image/png" in o.get("data", {})]
    assert len(images) >= len(plots)
    assert [a.get("alt") for a in images if len(a.get("alt", "").split()) < 4] == []


@each
def test_nothing_is_fetched(page, tools, name):
    assert tools("offline").fetches(page(name)) == []


@each
def test_what_is_exported_links_to_its_source(page, name):
    "But for private names, and methods of private classes"
    defines = re.compile(r"#\| *export\b.*^(def|class) [a-z]", re.M | re.S | re.I)
    sources = [c["source"] for c in read_nb(ROOT/"nbs"/f"{name}.ipynb")["cells"]]
    exports = [source for source in sources if defines.match(source) and "self: _" not in source]
    links = re.findall(r'<a href="https://[^"]+#L\d+">source</a>', page(name))
    assert len(links) >= len(exports)


def test_home_page(page, readme_tool):
    "The two commands, a picture that moves, and four that lead to what there is to see"
    html = page("index")
    for block in readme_tool.code_blocks((ROOT/"README.md").read_text(encoding="utf-8"))[:2]:
        words = re.sub(r"<[^>]+>", "", html).replace("&#39;", "'").replace("&amp;", "&")
        assert block.strip() in words
    assert html.index('src="images/digits.gif"') < html.index("pip install")
    linked = dict(re.findall(r'<a href="(\w+)\.html"><img [^>]*src="(images/[\w.]+)"', html))
    assert set(linked) == {"spiral", "numbers", "pokemon",
                           "widgets"} and len(set(linked.values())) == 4


def test_light_and_dark():
    "Both themes are the default one, which fetches nothing; the dark one changes its colors only"
    settings = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    theme = settings["format"]["html"]["theme"]
    assert theme == dict(light="default", dark="dark.scss")
    dark, styles = ((ROOT/"nbs"/name).read_text(encoding="utf-8")
                    for name in ("dark.scss", "styles.css"))
    assert not re.search(r"url\(|@import|@font-face|font-family", dark + styles)


def test_the_dark_theme_sets_every_color_that_the_styles_use():
    dark, styles = ((ROOT/"nbs"/name).read_text(encoding="utf-8")
                    for name in ("dark.scss", "styles.css"))
    def brightness(name):
        color = re.search(rf"^\${name}: #(\w{{6}});", dark, re.M).group(1)
        return sum(bytes.fromhex(color))

    assert brightness("body-bg") < 120 and brightness("body-color") > 600
    in_dark = re.search(r"quarto-dark \{(.*)\}", styles).group(1)
    used, defined = re.findall(r"var\((--\w+)\)", styles), re.findall(r"(--\w+):", in_dark)
    assert set(used) == set(defined)


def test_quarto_runs_the_check_of_what_it_made(tools):
    "From _proc/, where nbdev calls it"
    settings = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    script = settings["project"]["post-render"]
    assert (ROOT/"_proc"/script).resolve() == ROOT/"tools"/"offline.py"


def test_offline(tools, tmp_path):
    offline = tools("offline")
    ours = ('<script src="site_libs/quarto.js"></script><link rel="canonical" href="https://example.org">'
            '<a href="https://example.org"><img alt="a" src="data:,"></a>')
    require = "https://cdn.example/libs/require.js/2.3.6/require.min.js"
    jquery = "https://cdn.example/npm/jquery@3.5.1/dist/jquery.min.js"
    define = "define('jquery', [],function() {return window.jQuery;})"
    loaders = (f'<script src="{require}" crossorigin="anonymous"></script>\n'
               f'<script src="{jquery}" data-relocate-top="true"></script>\n'
               f'<script type="application/javascript">{define}</script>\n')
    assert len(offline.fetches(loaders)) == 2 and offline.fetches(ours) == []
    assert offline.take_out_loaders(ours + loaders + ours) == ours + ours
    (tmp_path/"page.html").write_text(loaders + ours)
    offline.main(tmp_path)
    assert (tmp_path/"page.html").read_text() == ours
    outside = ['<script src="//a.example/b.js">', '<img src="http://a.example/b.png">',
               '<link rel="stylesheet" href="https://a.example/b.css">',
               '<style>@import "https://a.example/b.css";</style>',
               '<p style="background: url(https://a.example/b.png)">',
               '<img srcset="b.png, https://a.example/b.png 2x">',
               '<video poster="https://a.example/b.png">', '<object data="https://a.example/b">']
    assert [len(offline.fetches(html)) for html in outside] == [1] * len(outside)
    (tmp_path/"b.css").write_text("body { background: url('https://a.example/b.png') }")
    with pytest.raises(SystemExit,
                       match="b.css fetches https://a.example/b.png"): offline.main(tmp_path)


def test_faults(tools, tmp_path):
    "Each of them is found"
    faults = tools("docs").faults
    head = '<meta name="description" content="what for"><img src="a.png" alt="a picture">'
    whole = head + '<a href="b.html#c">' + "words " * 200
    (tmp_path/"a.png").touch()
    def check(html): return faults(html, tmp_path, {"b.html": ""})

    assert check(whole) == []
    assert check(whole.replace("words ", "")) == ["the page is empty"]
    assert check(whole.replace('"a.png"', '"gone.png"')) == ["there is no image gone.png"]
    assert check(whole.replace(' alt="a picture"', "")) == ["an image has no alt text: a.png"]
    assert check(whole.replace("b.html", "gone.html")) == ["a link leads nowhere: gone.html"]
    assert check(whole.replace("what for", "")) == ["there is no line under the title"]
    assert check(whole + '<script src="https://a.example/b.js">') == ["it fetches https://a.example/b.js"]
