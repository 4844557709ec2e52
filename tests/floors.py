"""The law of the house: a module imports only from lower floors, the numbers of their notebooks.

    python tests/floors.py

writes the last column of the table in CONTRIBUTING.md from the imports in the code."""
import ast
import json
import re
from pathlib import Path

PACKAGE = "denoising_diffusion"
ROW = re.compile(r"^\|[^|]*\| `(\d\d)_\w+`(?: → `\w+`)? \|[^|]*\| ?([\d, ]*)\|$", re.M)


def floors(nbs: Path) -> dict:
    "The floor of each module: {'schedules': 1, 'diffusion': 2, …}, from names and `default_exp`"
    found = {}
    for path in sorted(Path(nbs).glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        for name in re.findall(r"^#\|\s*default_exp\s+(\S+)", source, flags=re.M):
            if name in found: raise AssertionError(f"two notebooks export to {name}")
            found[name] = int(path.name[:2])
    return found


def sources(package: Path) -> dict:
    "The source of each module by its name; what starts with an underscore is no room"
    paths = [p for p in package.glob("*.py") if not p.stem.startswith("_")]
    return {p.stem: p.read_text(encoding="utf-8") for p in paths}


def _imported(node: ast.stmt) -> list:
    "What one import statement takes from the package: (module or '', names) each"
    if isinstance(node, ast.Import):
        own = [a.name for a in node.names if a.name.split(".")[0] == PACKAGE]
        return [(name[len(PACKAGE) + 1:], [name]) for name in own]
    if not isinstance(node, ast.ImportFrom): return []
    module, names = node.module or "", [a.name for a in node.names]
    if not node.level:
        if module.split(".")[0] != PACKAGE: return []
        module = module[len(PACKAGE) + 1:]
    if module: return [(module, names)]
    return [(name, [name]) for name in names]  # from . import name


def own_imports(source: str) -> list:
    """What a module imports of its own package, wherever it does: (line, module or '', names).
    '' stands for the package itself, whose `__init__` may import anything."""
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return sorted((n.lineno, module, names) for n in nodes for module, names in _imported(n))


def violations(sources: dict, floor: dict) -> list:
    "Every import among `sources` (module name → source) that the house forbids, in words"
    out = []
    for name, source in sorted(sources.items()):
        if name not in floor:
            out.append(f"{name}.py has no notebook")
            continue
        for line, target, names in own_imports(source):
            where, target = f"{name}.py:{line}", target.split(".")[0]
            if target not in floor:
                out.append(f"{where}: imports {target or PACKAGE!r}, which is on no floor")
            elif floor[target] >= floor[name]:
                out.append(f"{where}: floor {floor[name]:02} imports {target}, "
                           f"of floor {floor[target]:02}")
            if "*" in names: out.append(f"{where}: star import of {target}")
    return out


def table(sources: dict, floor: dict) -> dict:
    "For each floor those that its module imports from, as the table of CONTRIBUTING.md says"
    found = {}
    for name, source in sources.items():
        below = {floor[target.split(".")[0]] for _, target, _ in own_imports(source)}
        found[f"{floor[name]:02}"] = ", ".join(f"{n:02}" for n in sorted(below))
    return found


def stated(contributing: str) -> dict:
    "What the table of CONTRIBUTING.md says, in the form of `table`"
    return {number: below.strip() for number, below in ROW.findall(contributing)}


def main():
    root = Path(__file__).resolve().parent.parent
    found = table(sources(root/PACKAGE), floors(root/"nbs"))
    path = root/"CONTRIBUTING.md"
    text = path.read_text(encoding="utf-8")

    def rewrite(row):
        before = row[0][:row.start(2) - row.start()].rstrip()
        return f"{before} {found.get(row[1], row[2])} |"

    path.write_text(ROW.sub(rewrite, text), encoding="utf-8")


if __name__ == "__main__": main()
