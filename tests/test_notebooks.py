"What a committed notebook must look like. (What is in it is tested by running it: `nbdev_test`.)"
import ast
import re

import pytest
from conftest import ROOT, load_tool, read_nb

NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
NUMBERED = [p for p in NOTEBOOKS if re.match(r"\d\d_", p.name)]
EXPORTING = [p for p in NUMBERED if "default_exp" in p.read_text(encoding="utf-8")]
ROOTS = "home|root|Users|work|tmp|var|private|mnt|opt|content"
MACHINE = re.compile(rf"(?<![\w.])/(?:{ROOTS})/\w+|[A-Z]:\\\\Users")
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
each_numbered = pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)


def code(nb): return [c for c in nb["cells"] if c["cell_type"] == "code"]
def outputs(nb): return [o for c in code(nb) for o in c["outputs"]]
def flags(cell): return re.findall(r"^#\|\s*(\w+)", cell["source"], flags=re.M)


def text_of(output) -> str:
    "The text of an output; pictures are left out"
    data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
    return "\n".join("".join(t) for t in [output.get("text", ""), *data.values()]
                     if isinstance(t, (str, list)))


def test_there_are_notebooks(): assert NUMBERED and any(p.name == "index.ipynb" for p in NOTEBOOKS)


def test_floors_are_unique():
    "The start and the checks that all share may both be 00, as only one of them exports"
    others = [p for p in NUMBERED if p not in EXPORTING]
    for paths in (EXPORTING, others): assert len({p.name[:2] for p in paths}) == len(paths)
    assert len(EXPORTING) > 20 and len(others) > 3


@each
def test_no_saved_error(path):
    assert [o["ename"] for o in outputs(read_nb(path)) if o["output_type"] == "error"] == []


@each
def test_it_names_its_kernel(path):
    "JupyterLab asks for one otherwise"
    assert read_nb(path)["metadata"]["kernelspec"]["name"] == "python3"


@each
def test_no_widget_state(path):
    nb = read_nb(path)
    assert "widgets" not in nb["metadata"]
    assert not [o for o in outputs(nb)
                if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]


@each
def test_no_warning_or_address_in_the_outputs(path):
    "Neither what went to stderr nor an object's address is the same on another run"
    nb = read_nb(path)
    assert [text_of(o)[:200] for o in outputs(nb) if o.get("name") == "stderr"] == []
    assert [t for o in outputs(nb) for t in re.findall(r"at 0x[0-9a-f]{6,}", text_of(o))] == []


@each
def test_pictures_are_stored_as_jupyter_stores_them(path):
    "As one string each: `nbdev_clean` only warns and gives up where one is a list of lines"
    data = [item for o in outputs(read_nb(path)) for item in o.get("data", {}).items()]
    pictures = [(k, v) for k, v in data if k.startswith("image/") and "svg" not in k]
    assert [k for k, v in pictures if not isinstance(v, str)] == []


@each
def test_no_path_of_one_machine(path):
    nb = read_nb(path)
    texts = [c["source"] for c in nb["cells"]] + [text_of(o) for o in outputs(nb)]
    assert [m.group() for t in texts for m in MACHINE.finditer(t)] == []


@each
def test_title_cell(path):
    "Only `# Title` and `> subtitle`: nbdev makes it the page's head, and drops everything else"
    first = next(c for c in read_nb(path)["cells"] if c["cell_type"] == "markdown")
    assert re.fullmatch(r"# [^\n]+\n+> [^\n]+\n?", first["source"])


@each_numbered
def test_the_frame(path):
    "First the cell for Colab, then `default_exp`, and the title next"
    nb = read_nb(path)
    exports = [c for c in code(nb) if "export" in flags(c)]
    if not exports: return
    assert "google.colab" in nb["cells"][0]["source"]
    assert re.match(r"#\|\s*default_exp \w+\s*$", nb["cells"][1]["source"])
    assert nb["cells"][2]["cell_type"] == "markdown"


@each_numbered
def test_no_star_import_between_modules(path):
    assert [c["source"] for c in code(read_nb(path)) if "export" in flags(c)
            and re.search(r"from (denoising_diffusion|\.)[\w.]* import \*", c["source"])] == []


def code_names(text: str) -> list[str]:
    "The names in backticks that the site can link: `f`, `a.b`, `f(x)`, `option=value`"
    return re.findall(r"`[A-Za-z_.][\w.]*(?:\([^`]*\))?(?:=[^`]*)?`", text)


def sentences(text: str) -> list[str]:
    "Where sentences and clauses end: at a full stop, a question or exclamation mark, or a colon"
    return re.findall(r"[.!?:](?=\s|$)", re.sub(r"`[^`]*`", "X", text))


def prose(nb) -> str:
    "The text of a notebook, without headings, tables, pictures, quotes and blocks"
    texts = [c["source"] for c in nb["cells"] if c["cell_type"] == "markdown"]
    texts = [re.sub(r"```.*?```", "", text, flags=re.S) for text in texts]
    texts = [re.sub(r"\$\$.*?\$\$", "F", text, flags=re.S) for text in texts]
    lines = [line for text in texts for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("#", "|", ">", "![")))


@pytest.mark.parametrize("path", EXPORTING, ids=lambda p: p.stem)
def test_prose_names_the_code_it_explains(path):
    "At least one code name in two sentences"
    text = prose(read_nb(path))
    assert len(code_names(text)) >= len(sentences(text)) / 2


def test_code_names_and_sentences_are_counted():
    text = "`sample` draws. Is `a.b` so? `f(x=1)` and `n=3`, but not `2 + 2` or $x$: no"
    assert code_names(text) == ["`sample`", "`a.b`", "`f(x=1)`", "`n=3`"]
    assert len(sentences(text)) == 3
    cells = ["# Title. `a`", "One. `b`", "```\n`c`.\n```", "| `d`. |", "$$x.$$", "> `e`.", "code."]
    kinds = ["markdown"] * 6 + ["code"]
    nb = dict(cells=[dict(cell_type=kind, source=s) for kind, s in zip(kinds, cells)])
    assert prose(nb) == "One. `b`\nF"


def test_the_sidebar_lists_every_notebook(root):
    listed = re.findall(r"(\w+\.ipynb)", (root/"nbs"/"sidebar.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(p.name for p in NOTEBOOKS) and listed[0] == "index.ipynb"
    shared, *rooms = [p.name for p in NUMBERED]  # nobody reads the checks first
    assert [name for name in listed if name[0].isdigit()] == [*rooms, shared]


def test_quarto_settings_are_linked(root):
    link = root/"nbs"/"_quarto.yml"
    settings = root/"_quarto.yml"
    assert link.read_text(encoding="utf-8") == settings.read_text(encoding="utf-8")
    is_clone = (root/".git").exists()  # a source archive holds a copy in the link's place
    assert not is_clone or link.is_symlink() and link.resolve() == settings.resolve()


SHOWS = re.compile(r"(stepper|explorer|film|Player)$")


def imports_and_shows(source: str) -> bool:
    "Whether a cell holds an import and a call that makes a film or a stepper"
    nodes = [*ast.walk(ast.parse(source))]
    calls = [node.func.id for node in nodes
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    imports = any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes)
    return imports and any(map(SHOWS.search, calls))


def test_no_stepper_is_made_where_something_is_imported():
    "nbdev runs every cell with an import when it makes the pages, and can't store live widgets"
    assert imports_and_shows("from denoising_diffusion import stepper\nstepper()")
    assert not imports_and_shows("from denoising_diffusion import stepper")
    wrong = [(path.stem, cell["id"]) for path in NOTEBOOKS for cell in code(read_nb(path))
             if not {"export", "eval"} & {*flags(cell)} and "%" not in cell["source"][:1]
             and imports_and_shows(cell["source"])]
    assert wrong == []


# Exercises, and the time a notebook takes

ANSWER = r'#\| code-fold: true\n#\| code-summary: "Answer {}"\n'
IN_WORDS = "<details><summary>Answer {}, in words</summary>\n\n"


def exercises(nb) -> tuple[str, list]:
    "The cell that asks, and the cells after it"
    cells = nb["cells"]
    start = next(i for i, c in enumerate(cells) if "## Exercises" in c["source"].splitlines())
    return cells[start]["source"], cells[start + 1:]


@each_numbered
def test_three_exercises_have_answers_that_run(path):
    "Three questions, and to each a folded cell that checks its answer, and the reason in words"
    asked, cells = exercises(read_nb(path))
    numbers = re.findall(r"^(\d)\. ", asked.partition("## Exercises")[2], flags=re.M)
    assert numbers == ["1", "2", "3"]
    shown = [c for c in cells if "hide" not in flags(c) and c["source"].strip()]
    for k in (1, 2, 3):
        code, words = shown[2 * k - 2:2 * k]
        assert code["cell_type"] == "code" and re.match(ANSWER.format(k), code["source"]), k
        assert re.search(r"^\s*(assert\w*|test_\w+)\b", code["source"], flags=re.M), k
        assert words["source"].startswith(IN_WORDS.format(k)) and "</details>" in words["source"]
    assert len(shown) == 6


def test_each_note_says_how_long_its_notebook_takes():
    minutes = load_tool("minutes")
    timed = {path.stem: minutes.rounded(minutes.reading(path)) for path in NUMBERED}
    assert {path.stem: minutes.said(path) for path in NUMBERED} == timed
    index = (ROOT/"nbs"/"index.ipynb").read_text(encoding="utf-8")
    assert minutes.front_page(index, timed) == index
    learner, _, _ = minutes.paths(index, timed).values()
    assert timed["00_start"] <= 40 and learner <= 240


def test_minutes_count_what_a_first_reading_needs():
    minutes = load_tool("minutes")
    note = '*For all. About 5 minutes. You may skip "Law". You may stop after "End".*'
    code = ["# text\n\nf(1)\ng()", "#| hide\nf(2)", "#| code-fold: true\nf(3)", "#| export\nf(4)"]
    assert [minutes.lines(text) for text in code] == [3, 0, 0, 1]
    assert [minutes.lines(text, exported=False) for text in code] == [3, 0, 0, 0]
    assert minutes.words("A [link](to/some place.html) — and `code`, 2 · 3") == 6
    sources = [note, "## One\n" + "word " * 200, "f()\n" * 10, "## Law\nmuch", "### Part\nmore",
               "## End\nlast", "## After\nword", "## Exercises\nword"]
    kinds = ["code" if text[0] == "f" else "markdown" for text in sources]
    cells = [dict(cell_type=kind, source=[text]) for kind, text in zip(kinds, sources)]
    found = minutes.sections(cells, True)
    assert abs(found["One", ""] - 2 - 1 / 200) < 1e-9  # 200 words and a title, and ten lines
    assert minutes.skipped(note, [*found]) == {("Law", ""), ("Law", "Part"), ("After", "")}
    with pytest.raises(SystemExit, match="Nowhere"):
        minutes.skipped(note.replace("Law", "Nowhere"), [*found])
