"How code is written and notebooks are cut (see `style.py`), and that each check can fail."
import pytest
from style import (
    MODULE_LINES, PUBLIC_NAMES, Cell, code_cells, crowded, exporting, figures, long_cells,
    long_lines, module_paths, notebook_paths, public_names, statements, too_dense, unshown,
    wide_lines)

MODULES, NOTEBOOKS = module_paths(), notebook_paths()
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path) -> str: return path.read_text(encoding="utf-8")


def test_there_are_modules_and_notebooks(): assert len(MODULES) > 5 and len(NOTEBOOKS) > 5


# The house

def test_a_statement_holds_one_thought():
    "`python tests/style.py` lists the densest statements"
    assert too_dense([s for path in MODULES for s in statements(read(path), path.stem)]) == []


@each_module
def test_modules_are_short(path): assert len(read(path).splitlines()) <= MODULE_LINES


@each_module
def test_lines_are_short(path): assert long_lines(read(path)) == []


def test_the_public_surface_is_small():
    assert sum(len(public_names(read(path))) for path in MODULES) <= PUBLIC_NAMES


@each_notebook
def test_each_export_is_shown(path): assert unshown(code_cells(path)) == []


@each_notebook
def test_one_public_name_a_cell(path): assert crowded(code_cells(path)) == []


@each_notebook
def test_no_cell_exports_the_package(path): assert exporting(code_cells(path)) == []


@each_notebook
def test_exported_cells_are_small(path):
    "An exported cell over 30 lines is a file pretending to be a notebook"
    assert long_cells(code_cells(path)) == []


@each_notebook
def test_exported_lines_are_short(path): assert wide_lines(code_cells(path)) == []


# Each check can fail

def notebook(*sources: str) -> list[Cell]:
    "The code cells of a notebook"
    return [Cell(i, source) for i, source in enumerate(sources)]


def exported(source: str) -> str: return "#| export\n" + source


F, G, H = map(exported, ["def f(): return 1", "class G: pass", "@patch\ndef h(self: G): return 2"])


@pytest.mark.parametrize("source, nodes", [
    ("def f(x): return x", [2]),  # Return Name
    ("def f(x):\n    'doc'\n    x = x + 1", [5]),  # Assign Name BinOp Name Constant, without +
    ("def f(x):\n    if not x: raise ValueError(x)", [3, 4]),  # If UnaryOp Name; Raise Call …
    ("def f():\n    def g(): return 1\n    return g", [2, 2]),  # once each, without the header of g
    ("def f(x):\n    try: x()\n    except E: pass", [3, 3]),  # Try ExceptHandler E; x()
    ("def f(x):\n    for i in x: i()\n    return", [3, 3]),  # For Name Name; Expr Call Name
    ("class A:\n    a = 1\n    def f(self): return self.a", [3]),
    ("x = [i for i in range(10)]", []),  # outside functions
])
def test_nodes_are_counted(source, nodes):
    assert sorted(statement.nodes for statement in statements(source)) == sorted(nodes)


def call(n: int) -> str:
    "A statement of n + 2 nodes"
    return f"    {'-' * (n - 1)}a()\n"


def test_figures():
    long = "    return a(b, c, d, e, g, h, i, j, k)\n"
    found = statements("def f(a):\n" + "    a()\n" * 16 + long * 4)
    assert figures(found) == {"median": 3, "p90": 12, "p95": 12, "over 40": 0}
    assert too_dense(found) == []


@pytest.mark.parametrize("source, says", [
    (call(7) * 3, "median: 9, at most 8"),
    (call(1) * 8 + call(15) * 2, "p90: 17, at most 16"),
    (call(1) * 14 + call(19), "p95: 21, at most 20"),
    (call(1) * 200 + call(39) * 4, "over 40: 4, at most 3"),
])
def test_dense_statements_are_caught(source, says):
    assert says in too_dense(statements("def f():\n" + source))


@pytest.mark.parametrize("source, found", [
    ("x = 1\ny = '" + "a" * 96 + "'", ["2: 102 columns"]),
    ("# " + "é" * 98, []),
    ("__all__ = [" + "'abcdefgh', " * 9 + "\n           " + "'abcdefgh', " * 9 + "]", []),
])
def test_a_long_line_is_caught(source, found): assert long_lines(source) == found


def test_public_names_are_counted():
    assert public_names("import a\n__all__ = ['b', 'c']") == ["b", "c"]
    assert public_names("__all__ = [*names]") == public_names("x = 1") == []


@pytest.mark.parametrize("cells, cell", [
    ([F, G, H], 2),
    ([F, "#| hide\nf()", G, "from a import b", H], 4),
    ([F, "f()", F, G, "#| default_exp a", exported("import a"), H], 6),
    ([F, G, "# only a comment", F, "f()"], 3),
    ([F, G, "#|hide\nimport nbdev; nbdev.nbdev_export()", F], 3),
])
def test_three_exports_in_a_row_are_caught(cells, cell):
    found = unshown(notebook(*cells))
    assert len(found) == 1 and found[0].startswith(f"cell {cell}:")


@pytest.mark.parametrize("cells", [
    [F, G, "f()", H, F], [F, "import a\na.b", G, "%time f()", H], [F, "#| mnist\nf()", G, F],
    [F, exported("import a"), exported("a = 1"), G], [F, G, "#| echo: false\nf()", H],
])
def test_shown_exports_pass(cells): assert unshown(notebook(*cells)) == []


@pytest.mark.parametrize("source, names", [
    ("def f(): pass\ndef g(): pass", "f, g"), ("a = 1\nclass B: pass", "B, a"),
    ("a, b = 1, 2", "a, b"), ("a: int = 1\nb = 2", "a, b"),
    ("@patch\ndef f(self: A): pass\n@patch(as_prop=True)\ndef g(self: B): pass", "A, B"),
])
def test_two_public_names_in_a_cell_are_caught(source, names):
    assert crowded(notebook(exported(source))) == [f"cell 0: {names}"]
    assert crowded(notebook(source)) == []


@pytest.mark.parametrize("source", [
    "def f(): pass\ndef _g(): pass\n_a = 1", "import a\nfrom b import c, d\ne = 1",
    "f.name = g.name = 1\ndef f(): pass",
    "class A: pass\n@patch\ndef f(self: A): pass\n@patch(as_prop=True)\ndef g(self: A): pass",
])
def test_one_public_name_passes(source): assert crowded(notebook(exported(source))) == []


@pytest.mark.parametrize("source", [
    "import nbdev; nbdev.nbdev_export()", "nbdev_export()", "#| hide\n!nbdev_export",
    "#| eval: false\nnbdev_export()",
])
def test_a_call_of_nbdev_export_is_caught(source):
    assert exporting(notebook("x = 1", source)) == ["cell 1 calls nbdev_export"]


def test_nbdev_export_may_be_named():
    assert exporting(notebook("# nbdev_export()", "x = 'nbdev_export()'")) == []


def test_a_long_cell_is_caught():
    body = "\n\n".join(["x = 1"] * 30)
    assert long_cells(notebook(exported(body))) == []
    assert long_cells(notebook(exported(body + "\nx = 1"))) == ["cell 0: 31 lines"]


def test_a_wide_line_in_a_cell_is_caught():
    line = "x = 1  # " + "a" * 91
    assert wide_lines(notebook(exported(line), line + "a")) == []
    assert wide_lines(notebook(exported(line + "a"))) == [f"cell 0: {line}a"]
