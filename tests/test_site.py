"""The structure of the site's pages, as tools/docs.py makes them: none is rendered by Quarto."""
import importlib
import json
import re
import shutil
import subprocess
import sys
import types
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, read_nb
from PIL import Image

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
    "The two commands, a picture above them, and four that lead to what there is to see"
    html = page("index")
    for block in readme_tool.code_blocks((ROOT/"README.md").read_text(encoding="utf-8"))[:2]:
        words = re.sub(r"<[^>]+>", "", html).replace("&#39;", "'").replace("&amp;", "&")
        assert block.strip() in words
    assert html.index('src="images/digits.png"') < html.index("<pre")  # the first command
    linked = dict(re.findall(r'<a href="(\w+)\.html"><img [^>]*src="(images/[\w.]+)"', html))
    assert set(linked) == {"spiral", "numbers", "pokemon",
                           "widgets"} and len(set(linked.values())) == 4


def test_light_and_dark():
    "Both themes are the default one, which fetches nothing, in other colors"
    settings = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    theme = settings["format"]["html"]["theme"]
    assert theme == dict(light="light.scss", dark="dark.scss")
    texts = [(ROOT/"nbs"/name).read_text(encoding="utf-8")
             for name in ("light.scss", "dark.scss", "styles.css")]
    assert not re.search(r"url\(|@import|@font-face|font-family", "".join(texts))


def test_the_dark_theme_sets_every_color_that_the_styles_use():
    dark, styles = ((ROOT/"nbs"/name).read_text(encoding="utf-8")
                    for name in ("dark.scss", "styles.css"))
    def brightness(name):
        color = re.search(rf"^\${name}: #(\w{{6}});", dark, re.M).group(1)
        return sum(bytes.fromhex(color))

    assert brightness("body-bg") < 120 and brightness("body-color") > 600
    in_dark = re.search(r"quarto-dark \{(.*)\}", styles).group(1)
    used, defined = re.findall(r"var\((--\w+)\)", styles), re.findall(r"(--\w+):", in_dark)
    assert {*used} - {"--hang"} == {*defined}  # a length, not a color


def test_quarto_runs_the_check_of_what_it_made(tools):
    "From _proc/, where nbdev calls it"
    settings = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    scripts = [(ROOT/"_proc"/script).resolve() for script in settings["project"]["post-render"]]
    names = "finish", "search", "offline"
    assert scripts == [ROOT/"tools"/f"{name}.py" for name in names]
    first = ROOT/"_proc"/settings["project"]["pre-render"]
    assert first.resolve() == ROOT/"tools"/"pages.py"


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
    whole = head + '<h2 id="d"><a href="b.html#c"><a href="#d">' + "words " * 200
    (tmp_path/"a.png").touch()
    def check(html): return faults(html, tmp_path, {"b.html": ["c"]})

    assert check(whole) == []
    assert check(whole.replace("words ", "")) == ["the page is empty"]
    assert check(whole.replace('"a.png"', '"gone.png"')) == ["there is no image gone.png"]
    assert check(whole.replace(' alt="a picture"', "")) == ["an image has no alt text: a.png"]
    assert check(whole.replace("b.html", "gone.html")) == ["a link leads nowhere: gone.html"]
    assert check(whole.replace("html#c", "html#e")) == ["a link leads nowhere: b.html#e"]
    assert check(whole.replace('"#d"', '"#e"')) == ["a link leads nowhere: #e"]
    assert check(whole + '<h3 id="d">') == ["two headings have the anchor d"]
    assert check(whole.replace("what for", "")) == ["there is no line under the title"]
    assert check(whole + '<script src="https://a.example/b.js">') == ["it fetches https://a.example/b.js"]


def test_anchors_are_those_of_pandoc(tools):
    identifier = tools("docs").identifier
    examples = {"How to read a notebook": "how-to-read-a-notebook", "3. Noise & <em>data</em>":
                "noise-data", "<code>p_sample</code>: one step": "p_sample-one-step",
                "EMA.swap": "ema.swap", "x&#770; at <code>t</code>?": "x-at-t", "1 + 2": "section"}
    assert {text: identifier(text) for text in examples} == examples


# What becomes of the exported code

def names_of(tools, name):
    "The public names of a notebook"
    module = tools("pages").module_name(f"{name}.ipynb")
    return importlib.import_module(f"denoising_diffusion.{module}").__all__ if module else []


@each
def test_every_public_name_is_documented_once(page, tools, name):
    html = page(name)
    heads = {found: html.count(f'<h3 id="{found.lower()}">{found}</h3>')
             for found in names_of(tools, name)}
    assert [found for found, times in heads.items() if times != 1] == []


@each
def test_signatures_are_whole_and_plain(page, tools, name):
    "No fields are missing, no name is of a notebook, and no comment holds a link or a backtick"
    block = r'<h3 id="[^"]+">[\w.]+</h3>\s*<div class="highlight">(.*?)</div>'
    blocks = re.findall(block, page(name), flags=re.S)
    assert len(blocks) >= len(names_of(tools, name))
    texts = [re.sub(r"<[^>]+>", "", block) for block in blocks]
    wrong = re.compile(r"__main__|\*args, \*\*kwargs|`|\]\(|NoneType|<locals>")
    assert [text for text in texts if wrong.search(text)] == []


@each
def test_tests_and_plots_are_folded(tools, made, name):
    "And a folded cell says what is in it"
    pages = tools("pages")
    cells = read_nb(ROOT/"_proc"/f"{name}.ipynb")["cells"]
    long = [c for c in cells if c["cell_type"] == "code"
            and len(pages.plain_source(c).splitlines()) > pages.MOST]
    plots = [c for c in long if pages.has_picture(c)]
    assert [c["source"] for c in plots if not re.search("code-fold: true|echo: false",
                                                        c["source"])] == []
    tests = [c for c in long if not c["outputs"] and re.search(r"^(test_|assert )", c["source"],
                                                               flags=re.M)]
    assert [c["source"] for c in tests if "code-summary" not in c["source"]] == []


def test_a_signature_says_what_the_source_says(tools):
    "Fields of classes, options passed on, defaults, and comments; on one line where it fits"
    head_of = tools("pages").head_of
    level = """class Level(NamedTuple):
    signal: float | Tensor  # √ᾱ_t
    noise: float | Tensor  # √(1 − ᾱ_t)"""
    assert head_of("Level", "diffusion") == level
    assert "@dataclass\nclass Match:\n    distance: Tensor  # (N,)" in head_of("Match", "metrics")
    assert head_of("warn_user", "checks") == "def warn_user(message: str) -> None"
    assert head_of("EMA.swap", "checkpoints") == "def swap() -> None"
    assert head_of("GaussianDiffusion.device", "diffusion").startswith("@property\ndef device()")
    conditioned = head_of("UNetConditioned", "unet")
    assert conditioned.startswith("class UNetConditioned(\n    in_channels: int,  # channels")
    assert "\n    dropout: float = 0.0,  # share of" in conditioned  # an option of UNet
    process = head_of("reverse_process", "sampling")
    assert "Callable[..., Any] | str = ddpm_rule,  # a rule such as ddim_rule(), or" in process


def test_links_lead_to_pages_or_to_sources(tools):
    pages = tools("pages")
    shown = {"Step": pages.Shown("sampling.html", "step"), "up": pages.Shown("blocks.html", "up"),
             "samplers": pages.Shown("samplers.html", "samplers")}
    links = pages.Links("sampling.html", "sampling", shown)
    def nbdev(name): return f"[`{name}`](https://denoising-diffusion.github.io/any.html#{name})"

    assert links.mend(nbdev("Step")) == "[`Step`](#step)"
    assert links.mend(nbdev("up")) == "[`up`](blocks.html#up)"
    assert links.mend("`samplers` by name") == "[`samplers`](samplers.html#samplers) by name"
    assert links.mend(nbdev("_move")) == "`_move`"  # its code is on the page
    assert re.search(r"/checks\.py#L\d+\)$", links.mend(nbdev("_brief")))
    assert links.mend("[`here`](other.ipynb)") == "[`here`](other.ipynb)"
    assert links.docstring("From `up`: `Step` * 2", {"up"}) == r"From `up`: [`Step`](#step) \* 2"


def test_the_code_of_a_notebook_is_folded_where_it_stands(tools):
    "After what documents it; what is private has no other place"
    pages = tools("pages")
    def cell(id, source, kind="code"):
        return dict(cell_type=kind, id=id, source=source, outputs=[], metadata={})

    both = cell("b", "#| export\ndef first(): pass\n\n\ndef second(): pass")
    private = cell("d", "#| export\ndef _own(): pass")
    text, example = cell("a", "text", "markdown"), cell("c", "first()")
    docs = [cell("y", "show_doc(second)"), cell("z", "show_doc(first)")]
    head = [cell("h", "---", "raw"), cell("w", "<!-- -->", "markdown")]
    links = pages.Links("page.html", "", {})
    made = pages.with_sources([*head, text, *docs, example], [text, both, example, private], links)
    assert [c["id"] for c in made] == ["h", "w", "a", "z", "y", "b", "c", "d"]
    summaries = [re.search('summary: "(.*)"', c["source"])[1] for c in made if c["id"] in "bd"]
    assert summaries == ["Source", "Source of _own"]


def test_no_link_reads_as_the_name_of_a_file():
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT/"nbs").glob("*.ipynb")}
    found = {name: re.findall(r"\[`?\d\d_\w+`?\]\([^)]*\)", text) for name, text in texts.items()}
    assert {name: links for name, links in found.items() if links} == {}


def test_no_notebook_depends_on_the_folder_one_stands_in():
    "None looks for modules in a folder that is given by its name alone"
    named = re.compile(r"sys\.path\W\w+\([^)]*?\\?[\"']\.")
    assert named.search('sys.path.append(\\"../tools\\")')
    assert [path.name for path in (ROOT/"nbs").glob("*.ipynb")
            if named.search(path.read_text(encoding="utf-8"))] == []


def test_the_index_of_names_is_current(tools):
    names = tools("names")
    assert (ROOT/"nbs"/"api.ipynb").read_text(encoding="utf-8") == names.notebook()
    listed = re.findall(r"^- \[(\w+)\]", "\n".join(names.cells()), flags=re.M)
    assert len(listed) == len(set(listed)) > 100
    assert [line for line in "\n".join(names.cells()).splitlines()
            if line[:2] == "- " and not re.search(r"\): .+", line)] == []


def test_the_search_finds_definitions_first(tools, made, tmp_path):
    old = [dict(objectID="sampling.html", href="sampling.html", title="Sampling", section="",
                text="p_sample", crumbs=["Mathematics", "Sampling"])]
    (tmp_path/"search.json").write_text(json.dumps(old), encoding="utf-8")
    for _ in range(2): tools("search").main(tmp_path)
    *new, last = json.loads((tmp_path/"search.json").read_text(encoding="utf-8"))
    assert last == old[0]
    found, = (entry for entry in new if entry["section"] == "p_sample")
    assert found["href"] == "sampling.html#p_sample" and found["crumbs"] == old[0]["crumbs"]
    assert found["text"].startswith("One DDPM step, t to t − 1")
    assert "def p_sample(" in found["text"]


# The first cell, and the link to Colab

LISTS = {"glossary", "api"}  # there is nothing to run in them
NAMES = [path.stem for path in sorted((ROOT/"nbs").glob("*.ipynb")) if path.stem not in LISTS]
each_notebook = pytest.mark.parametrize("name", NAMES)
CELL = """#| hide
#| eval: false
import sys
if "google.colab" in sys.modules:
    get_ipython().system("pip install -q git+{git_url}")"""
CELL_WITH_FILES = """#| hide
#| eval: false
import os
import sys
if "google.colab" in sys.modules and not os.path.exists("results"):
    get_ipython().system("git clone -q --depth 1 {git_url}")
    get_ipython().system("pip install -q ./{repo}")
    os.chdir("{repo}/nbs")"""


@pytest.fixture(scope="session")
def settings():
    "What settings.ini says"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def code_cells(name):
    return [cell["source"] for cell in read_nb(ROOT/"nbs"/f"{name}.ipynb")["cells"]
            if cell["cell_type"] == "code"]


@each_notebook
def test_the_first_cell_installs_the_package_in_colab(name, settings):
    "With the whole clone, if the notebook reads files beside it"
    first, *others = code_cells(name)
    reads = any(re.search(r"[\"']results/", source) for source in others)
    assert first == (CELL_WITH_FILES if reads else CELL).format_map(settings)


@pytest.mark.parametrize("cell", [CELL, CELL_WITH_FILES])
def test_the_first_cell_does_nothing_elsewhere(cell, settings, monkeypatch, tmp_path):
    calls, shell = [], types.SimpleNamespace(system=lambda command: calls.append(command))
    monkeypatch.chdir(tmp_path)
    (tmp_path/settings["repo"]/"nbs").mkdir(parents=True)
    def run(): exec(cell.format_map(settings), dict(get_ipython=lambda: shell))

    run()
    assert calls == [] and Path.cwd() == tmp_path
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    run()
    assert settings["git_url"] in calls[0] and "pip install" in calls[-1]


@each_notebook
def test_the_notebook_opens_in_colab(name, settings):
    "By a link in one of its first lines; the front page, which is also the README, in its text"
    repo = "{user}/{repo}/blob/{branch}".format_map(settings)
    link = f"(https://colab.research.google.com/github/{repo}/nbs/{name}.ipynb)"
    texts = [cell["source"] for cell in read_nb(ROOT/"nbs"/f"{name}.ipynb")["cells"]
             if cell["cell_type"] == "markdown"]
    if name == "index": assert link in "".join(texts)
    else: assert texts[1].splitlines()[0].endswith(f"[Open in Colab]{link}*")


def test_the_docs_step_installs_nothing(name="01_schedules"):
    "It runs cells that import, but not one that says `eval: false`"
    from nbdev.process import NBProcessor
    from nbdev.processors import _do_eval, populate_language
    nb = NBProcessor(ROOT/"nbs"/f"{name}.ipynb", procs=[populate_language]).nb
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert [bool(_do_eval(cell)) for cell in cells[:3]] == [False, False, True]


# What Quarto leaves to do

def test_finish_boxes_what_is_wide(tools):
    finish = tools("finish")
    def table(*cells): return "<table><tr><td>" + "</td><td>".join(cells) + "</td></tr></table>"

    narrow, wide = table("1", "two"), table("a_name_of_24_characters_", "and what it means " * 2)
    mended = finish.mend_markup(narrow + wide)
    assert f'<div class="scrolls">{narrow}</div>' in mended
    stop = 'tabindex="0" role="group" aria-label="table"'
    assert f'<div class="scrolls" {stop}>{wide}</div>' in mended
    short, long = "<pre><code>x</code></pre>", f"<pre><code>{'x' * 60}</code></pre>"
    mended = finish.mend_markup(short + long)
    assert short in mended and mended.count('<pre tabindex="0"') == 1
    def formula(tex): return f'<math display="block"><annotation>{tex}</annotation></math>'
    assert finish.mend_markup(formula("x")) == f'<span class="scrolls">{formula("x")}</span>'
    assert 'tabindex="0"' in finish.mend_markup(formula(r"\alpha " * 9))
    script = f"<script>{wide}{long}</script>"
    assert finish.mend_markup(script) == script


def test_finish_lets_names_break_at_their_dots(tools):
    mend = tools("finish").mend_markup
    heading = '<h3 id="a.b">GaussianDiffusion.q_sample. 1.</h3>'
    assert mend(heading) == '<h3 id="a.b">GaussianDiffusion.<wbr>q_<wbr>sample. 1.</h3>'
    assert mend("<p>a.b</p>") == "<p>a.b</p>"


def listing(*lines):
    spans = "\n".join(f'<span id="cb1-1"><a href="#cb1-1"></a>{line}</span>' for line in lines)
    return f'<pre class="sourceCode python"><code class="sourceCode python">{spans}</code></pre>'


def test_code_breaks_at_brackets_and_dots(tools):
    "In words too long for a phone; elsewhere it breaks at spaces. Strings stay whole"
    mend = tools("finish").mend_markup
    name = '<span class="st">"a.png"</span>'
    long = f"    network.to_everything(a_rather_long_name).save({name})"
    mended = mend(listing("x = f(g(1)) &lt; h.i", long))
    assert 'f(g(1)) &lt; h.i' in mended
    assert ("network<wbr>.to_everything(<wbr>a_rather_long_name)<wbr>.save("
            f"{name.replace('>', '><wbr>', 1)})") in mended
    assert mended.count("<wbr>") == 4
    assert mended.count('style="--in:4"') == mended.count("style=") == 1


def test_options_and_formulas_stay_whole(tools):
    mend = tools("finish").mend_markup
    whole = '<span class="whole">'
    assert (mend("<p><code>cmd --bf16 -n 1 a-b</code></p>")
            == f"<p><code>cmd {whole}--bf16</span> {whole}-n</span> 1 a-b</code></p>")
    output = "<pre><code>--bf16</code></pre>"
    assert mend(output) == output
    formula = '<math display="inline">x</math>'
    assert mend(f"{formula}, {formula} y") == f"{whole}{formula},</span> {formula} y"
    tex = f'<annotation encoding="application/x-tex">{"x + " * 20}</annotation>'
    long = f'<math display="inline">{tex}</math>.'  # fills a line, and the mark needs room
    assert mend(long) == long


def test_names_in_tables_break_at_sensible_places(tools):
    mend = tools("finish").mend_markup
    cells = [r"<code>#\| a_name</code>", 'in <code>f(x="b.c")</code>', "word " * 9, "snake_case"]
    mended = mend("<table><tr><td>" + "</td><td>".join(cells) + "</td></tr></table>")
    assert r"<code>#| a_<wbr>name</code>" in mended
    assert '<code>f(<wbr>x=<wbr>"b.<wbr>c")</code>' in mended
    assert f'<td class="long">{cells[2]}</td><td>snake_case</td>' in mended


@pytest.fixture
def folder(tmp_path):
    "A small site: two pages, a figure of noise, and the front page's picture"
    (tmp_path/"images").mkdir()
    shutil.copy(ROOT/"nbs"/"images"/"numbers.png", tmp_path/"images")
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path/"noise.png")
    preview = '<meta property="og:image" content="data:,">'
    head = f'<html lang="en"><head><title>A page</title>{preview}</head>'
    body = '<body class="a"><a href="#b">B</a><main id="quarto-document-content"><h1 id="b">B</h1>'
    for name, image in [("index", ""), ("noise", '<img src="noise.png" alt="noise &amp; more">')]:
        (tmp_path/f"{name}.html").write_text(f"{head}{body}{image}<p>text</p></main></body></html>")
    return tmp_path


def test_finish_gives_each_page_a_preview_and_a_skip_link(tools, folder):
    finish, rendered = tools("finish"), tools("rendered")
    finish.main(folder)
    url = rendered.read_url(ROOT/"nbs")
    for name, alt in [("index", finish.DEFAULT[1]), ("noise", "noise &amp; more")]:
        page = (folder/f"{name}.html").read_text()
        assert re.findall(r'"og:image" content="([^"]*)', page) == [f"{url}/previews/{name}.png"]
        assert f'"og:image:alt" content="{alt}"' in page
        assert page.count(finish.SKIP) == 1 and page.index(finish.SKIP) < page.index('href="#b"')
        size = (folder/"previews"/f"{name}.png").stat().st_size
        assert 1000 < size <= finish.MOST_BYTES
    before = (folder/"noise.html").read_text()
    finish.main(folder)
    assert (folder/"noise.html").read_text() == before


def test_finish_names_figures_and_leads_to_the_repository(tools):
    finish = tools("finish")
    caption = "<figcaption>Points &amp; a <em>line</em></figcaption>"
    figure = f'<figure><img src="a.png">{caption}</figure>'
    assert '<img alt="Points &amp; a line" src="a.png">' in finish.mend_markup(figure)
    named = figure.replace("<img ", '<img alt="b" ')
    assert finish.mend_markup(named) == named
    links = '<a href="../CONTRIBUTING.md"><a href="a.html">'
    assert finish.link_to_source(links, "https://r") == links.replace("..", "https://r")


def test_finish_leaves_unused_icons_out(tools, folder):
    import matplotlib
    from fontTools.ttLib import TTFont
    finish, font = tools("finish"), folder/"bootstrap-icons.woff"
    shutil.copy(Path(matplotlib.get_data_path())/"fonts"/"ttf"/"DejaVuSans.ttf", font)
    icons = [("a", 0x41), ("b", 0x42), ("c", 0x43)]
    rules = [f'.bi-{name}::before {{ content: "\\{code:x}"; }}' for name, code in icons]
    (folder/finish.ICONS).write_text("\n".join(rules))
    (folder/"page.html").write_text('<i class="bi bi-b"></i>')
    finish.shrink_icons(folder)
    assert set(TTFont(font).getBestCmap()) == {0x42} and font.stat().st_size < 50_000


FAULTS = {
    '<a href="gone.html">': "a link leads nowhere: gone.html",
    '<a href="index.html#gone">': "a link leads to no anchor: index.html#gone",
    '<a href="#gone">': "a link leads to no anchor: #gone",
    '<img src="noise.png">': "an image has no alt text: noise.png",
    '<img src="gone.png" alt="gone">': "there is no image gone.png",
    '<script src="https://a.example/b.js"></script>': "it fetches https://a.example/b.js",
    '<meta property="og:image" content="x">': "it has 2 previews",
    '<link rel="stylesheet" href="heavy.css">': "it weighs 1.1 MB",
}


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_rendered_finds(tools, folder, fault):
    rendered = tools("rendered")
    tools("finish").main(folder)
    (folder/"heavy.css").write_text("body { background: url('heavy.bin') }")
    (folder/"heavy.bin").write_bytes(np.random.default_rng(1).bytes(1_000_000))
    page = folder/"noise.html"
    page.write_text(page.read_text().replace("</main>", f"{fault}</main>"))
    site = rendered.Site(folder, rendered.read_url(ROOT/"nbs"))
    found = [re.sub(r"(?<=\d\.\d)\d", "", each) for each in rendered.faults(site, page)]
    assert found == ([FAULTS[fault]] if fault else [])


def test_rendered_knows_addresses_from_the_root_of_the_host(tools, folder):
    rendered = tools("rendered")
    site = rendered.Site(folder, "https://a.example/project")
    page = folder/"404.html"
    page.write_text('<a href="/project/index.html#b">B</a><a href="/project/gone.html">C</a>')
    assert rendered.link_faults(site, page) == ["a link leads nowhere: /project/gone.html"]


def test_search_has_no_tex(tools):
    search = tools("search")
    def formula(symbols, tex):
        return f"<math>{symbols}<annotation>{tex}</annotation></math>"

    page = formula("<mi>t</mi>", "t") + formula("<msub>x<mi>t</mi></msub>", "x_t")
    page += formula("ϵ&lt;1", r"\epsilon &lt; 1")
    symbols = search.formulas(page)
    text = r"letters at tt: xtx_t, ϵ<1\epsilon < 1."
    assert search.leave_tex_out(text, symbols) == "letters at t: xt, ϵ<1."


UNREADABLE = '<p style="color: #aaa; background: white">hard to read</p>'
SEEN = {
    "": "",
    UNREADABLE: "serious color-contrast, 1 times: p",
    '<pre style="overflow: hidden; width: 9em">a line of code, too long</pre>':
        "text is cut off, 1 times: a line of code, too long",
    '<div class="sourceCode"><pre style="overflow: auto; width: 9em">a line of code, too long':
        "text is cut off, 1 times: a line of code, too long",
    '<div class="cell-output"><pre tabindex="0" style="overflow: auto; width: 9em">'
    "an output, too long</pre></div>": "",
    '<p style="width: 500px">wide</p>': "the page scrolls sideways by",
    '<div style="height: 99em"></div><section id="a"><h2>B</h2></section>'
    '<p style="height: 99em"></p><div id="quarto-header" style="position: fixed; top: 0">B</div>':
        "the header hides the heading that #a leads to",
}


def test_axe_sees(tools, tmp_path):
    "Contrast, code that is cut off, and a page that is too wide; in each scheme its own"
    pytest.importorskip("playwright.sync_api", reason="NO BROWSER TESTS: pip install playwright")
    axe = tools("axe")
    if axe.find_chromium() is None: pytest.skip("NO BROWSER TESTS: apt-get install chromium")
    head = '<!doctype html><html lang="en"><head><title>A page</title></head><body><main><h1>A</h1>'
    for i, body in enumerate(SEEN): (tmp_path/f"{i}.html").write_text(f"{head}{body}</main></body>")
    only_dark = "<style>@media (prefers-color-scheme: dark) { p { color: #aaa } }</style>"
    (tmp_path/"dark.html").write_text(f"{head}{only_dark}<p>text</p>")
    script = axe.read_axe()
    with axe.serve(tmp_path, "/project/") as address, axe.open_browser() as browser:
        def see(name, scheme="light"):
            return axe.visit(browser, f"{address}{name}.html", 390, scheme, script)

        found = ["".join(see(i)) for i in range(len(SEEN))]
        assert [text[:len(said)] for text, said in zip(found, SEEN.values())] == list(SEEN.values())
        assert [bool(text) for text in found] == [bool(said) for said in SEEN.values()]
        assert see("dark") == [] and "color-contrast" in see("dark", "dark")[0]



def test_no_image_of_the_front_page_moves_for_ever():
    for path in (ROOT/"nbs"/"images").glob("*.gif"):
        with Image.open(path) as gif:
            assert "loop" not in gif.info
            durations = []
            for i in range(gif.n_frames - 1):
                gif.seek(i)
                durations.append(gif.info["duration"])
        assert sum(durations) <= 5000  # milliseconds


def test_quarto_settings(settings):
    "Links to the repository, and a favicon, which nothing else names"
    quarto = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    website = quarto["website"]
    assert (ROOT/"nbs"/website["favicon"]).is_file() and website["repo-subdir"] == "nbs"
    assert [item["href"] for item in website["navbar"]["right"]] == [settings["git_url"]]
    generated = yaml.safe_load((ROOT/"nbs"/"nbdev.yml").read_text(encoding="utf-8"))["website"]
    assert generated["repo-url"] == settings["git_url"]
    assert generated["repo-branch"] == settings["branch"]
