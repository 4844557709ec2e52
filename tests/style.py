"""House style, measured: how dense statements are, and how notebooks are cut into cells.

`python tests/style.py [module …]` prints the figures and the densest statements. A module is a name
such as `sampling`, or a path. With `-n 30` it lists 30 statements instead of 20."""
import argparse
import ast
import json
import re
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unicodedata import combining

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT/"denoising_diffusion"
WIDTH, CELL_LINES, MODULE_LINES = 100, 30, 500
PUBLIC_NAMES = 200  # 175, and what own data need: reading, watching, editing, writing, measuring
MOST = {"median": 8, "p90": 16, "p95": 20, "over 40": 3}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
UNCOUNTED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


class Statement(NamedTuple):
    "A statement inside a function"
    module: str
    line: int
    nodes: int  # of its syntax tree, without contexts, operators and the statements nested in it
    source: str  # its first line


def module_paths(package: Path = PACKAGE) -> list[Path]:
    "The package's modules, without nbdev's index"
    return sorted(path for path in package.glob("*.py") if path.name != "_modidx.py")


def notebook_paths(nbs: Path = ROOT/"nbs") -> list[Path]:
    "The numbered notebooks"
    return sorted(nbs.glob("[0-9][0-9]_*.ipynb"))


# Density

def count_nodes(node: ast.AST) -> int:
    "The nodes of a statement; of a compound one those of its header, with the `except`s"
    if isinstance(node, UNCOUNTED): return 0
    children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    return 1 + sum(count_nodes(child) for child in children)


def is_string(node: ast.AST) -> bool:
    "Whether a statement is a lone string, such as a docstring"
    value = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def inner_statements(tree: ast.AST) -> list[ast.stmt]:
    "Each statement inside a function, once; neither docstrings nor headers of nested definitions"
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    inside = {id(node): node for function in functions for node in ast.walk(function)}
    found = [node for node in inside.values() if isinstance(node, ast.stmt)]
    return [node for node in found if not isinstance(node, DEFINITIONS) and not is_string(node)]


def statements(source: str, module: str = "") -> list[Statement]:
    "The statements inside a module's functions, but those of one node (`pass`, `try:`)"
    lines, nodes = source.splitlines(), inner_statements(ast.parse(source))
    counts = [(node.lineno, count_nodes(node)) for node in nodes]
    return [Statement(module, line, n, lines[line - 1].strip()) for line, n in counts if n > 1]


def figures(found: list[Statement]) -> dict[str, float]:
    "Median, 90th and 95th percentile of the nodes, and how many statements have over 40"
    nodes = sorted(statement.nodes for statement in found) or [0]
    p90, p95 = (nodes[int(share * len(nodes))] for share in (0.9, 0.95))
    over_40 = sum(n > 40 for n in nodes)
    return {"median": median(nodes), "p90": p90, "p95": p95, "over 40": over_40}


def too_dense(found: list[Statement]) -> list[str]:
    "What exceeds the aims, in words"
    exceeding = {name: value for name, value in figures(found).items() if value > MOST[name]}
    return [f"{name}: {value:g}, at most {MOST[name]}" for name, value in exceeding.items()]


# Modules

def columns(line: str) -> int:
    "The width of a line; the hat of x̂ takes no room"
    return sum(not combining(letter) for letter in line)


def generated_lines(tree: ast.Module) -> set[int]:
    "The lines of `__all__`, which nbdev writes"
    blocks = [node for node in tree.body if "__all__" in assigned(node)]
    return {line for node in blocks for line in range(node.lineno, node.end_lineno + 1)}


def long_lines(source: str) -> list[str]:
    "A module's lines of more than 100 columns, without those of `__all__`"
    exempt = generated_lines(ast.parse(source))
    widths = {i: columns(line) for i, line in enumerate(source.splitlines(), 1) if i not in exempt}
    return [f"{i}: {width} columns" for i, width in widths.items() if width > WIDTH]


def public_names(source: str) -> list[str]:
    "The names in a module's `__all__`; none where it isn't a plain list"
    found = [node.value for node in ast.parse(source).body if "__all__" in assigned(node)]
    try: return [name for value in found for name in ast.literal_eval(value)]
    except ValueError: return []


# Notebooks

class Cell(NamedTuple):
    "A code cell of a notebook"
    number: int  # its place among all cells, from 0 on
    source: str

    @property
    def flags(self) -> set[str]:
        "The words that begin its directives: {'export'}, {'hide'}, …"
        return set(re.findall(r"^#\|\s*(\w+)", self.source, flags=re.M))

    @property
    def exported(self) -> bool: return bool(self.flags & {"export", "exporti", "exports"})

    @property
    def body(self) -> list[ast.stmt]:
        "Its statements; none where it isn't plain Python, as with `%magic` and `!shell`"
        try: return ast.parse(re.sub(r"^\s*[%!].*", "0", self.source, flags=re.M)).body
        except SyntaxError: return []


def code_cells(path: Path) -> list[Cell]:
    "The code cells of a notebook"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [Cell(i, "".join(c["source"])) for i, c in enumerate(cells) if c["cell_type"] == "code"]


def assigned(node: ast.stmt) -> list[str]:
    "The names that an assignment binds"
    if not isinstance(node, (ast.Assign, ast.AnnAssign)): return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return [name.id for name in names if isinstance(name.ctx, ast.Store)]


def patched_class(node: ast.stmt) -> str | None:
    "The class that a function is patched into, or None"
    decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
    patched = any(re.match(r"patch(\(|$)", decorator) for decorator in decorators)
    return ast.unparse(node.args.args[0].annotation) if patched else None


def bound_names(node: ast.stmt) -> list[str]:
    "The names that a statement binds, without imports; a patched method stands for its class"
    if isinstance(node, DEFINITIONS): return [patched_class(node) or node.name]
    return assigned(node)


def is_setup(node: ast.stmt) -> bool:
    "Whether a statement only prepares: an import, or a call of nbdev's"
    return isinstance(node, (ast.Import, ast.ImportFrom)) or "nbdev" in ast.unparse(node)


def is_example(cell: Cell) -> bool:
    "Whether a cell shows something: not exported, not hidden, and more than imports"
    if cell.exported or "hide" in cell.flags: return False
    plain = re.sub(r"^#.*", "", cell.source, flags=re.M).strip()
    return bool(plain) and not (cell.body and all(is_setup(node) for node in cell.body))


def defines(cell: Cell) -> bool:
    "Whether a cell exports a function or a class"
    return cell.exported and any(isinstance(node, DEFINITIONS) for node in cell.body)


def unshown(cells: list[Cell]) -> list[str]:
    "Each third exported definition in a row without an example before it"
    found, row = [], 0
    for cell in cells:
        if is_example(cell): row = 0
        if not defines(cell): continue
        row += 1
        if row >= 3: found.append(f"cell {cell.number}: {row} exports in a row")
    return found


def crowded(cells: list[Cell]) -> list[str]:
    "Exported cells with more than one public name"
    found = []
    for cell in (cell for cell in cells if cell.exported):
        names = {name for node in cell.body for name in bound_names(node) if name[0] != "_"}
        if len(names) > 1: found.append(f"cell {cell.number}: {', '.join(sorted(names))}")
    return found


def code_lines(cell: Cell) -> list[str]:
    "A cell's lines without empty ones and directives"
    return [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#|")]


def option_lines(cell: Cell) -> int:
    "How many lines the options of a command take, which stand one a line"
    commands = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, FUNCTIONS)
                and "_plain_errors" in map(ast.unparse, node.decorator_list)]
    return sum(node.body[0].lineno - node.lineno - 1 for node in commands)


def long_cells(cells: list[Cell]) -> list[str]:
    "Exported cells of more than 30 lines of code, the options of a command not counted"
    exported = [cell for cell in cells if cell.exported]
    counts = {cell.number: len(code_lines(cell)) - option_lines(cell) for cell in exported}
    return [f"cell {number}: {n} lines" for number, n in counts.items() if n > CELL_LINES]


def wide_lines(cells: list[Cell]) -> list[str]:
    "Lines of exported cells of more than 100 columns"
    return [f"cell {cell.number}: {line}" for cell in cells if cell.exported
            for line in cell.source.splitlines() if columns(line) > WIDTH]


def exporting(cells: list[Cell]) -> list[str]:
    "Cells that call `nbdev_export`: a notebook that is run must not write modules"
    found = []
    for cell in cells:
        nodes = [node for statement in cell.body for node in ast.walk(statement)]
        called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
        shell = re.findall(r"^\s*[%!](.*)", cell.source, flags=re.M)
        if any("nbdev_export" in text for text in [*called, *shell]):
            found.append(f"cell {cell.number} calls nbdev_export")
    return found


# The report

def read_modules(names: list[str]) -> dict[str, list[Statement]]:
    "The statements of the modules named, or of all"
    paths = {path.stem: path for path in module_paths()}
    wanted = [Path(name).stem for name in names] or [*paths]
    missing = [name for name in wanted if name not in paths]
    if missing: raise SystemExit(f"no module is called {missing[0]}; there is {', '.join(paths)}")
    return {name: statements(paths[name].read_text(encoding="utf-8"), name) for name in wanted}


def row(name: str, found: list[Statement]) -> str:
    "One line of the table"
    values = " ".join(f"{value:7g}" for value in figures(found).values())
    return f"{name:14} {len(found):6} {values}"


def main(names: list[str], listed: int) -> None:
    "Print the figures of the modules named, or of all, and their densest statements"
    found = read_modules(names)
    together = [statement for each in found.values() for statement in each]
    print(f"{'module':14} {'number':>6} " + " ".join(f"{name:>7}" for name in MOST))
    for name, each in found.items(): print(row(name, each))
    print(row("all", together))
    print(f"{'at most':21} " + " ".join(f"{value:7}" for value in MOST.values()))
    print("\nThe densest:")
    densest = sorted(together, key=lambda statement: -statement.nodes)[:listed]
    for s in densest: print(f"{s.module}:{s.line} {s.nodes} {s.source}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*")
    parser.add_argument("-n", type=int, default=20, help="how many statements to list")
    arguments = parser.parse_args()
    main(arguments.modules, arguments.n)
