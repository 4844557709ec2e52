"""The law of the house: a module imports only from lower floors. A floor is the number of a module's notebook."""
import ast
import json
import re
from pathlib import Path

PACKAGE = "denoising_diffusion"


def floors(nbs: Path) -> dict:
    "The floor of each module: {'schedules': 0, 'diffusion': 1, …}, from the notebooks' names and `default_exp`"
    found = {}
    for path in sorted(Path(nbs).glob("[0-9][0-9]_*.ipynb")):
        sources = ["".join(c["source"]) for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
                   if c["cell_type"] == "code"]
        for name in re.findall(r"^#\|\s*default_exp\s+(\S+)", "\n".join(sources), flags=re.M):
            if name in found: raise AssertionError(f"two notebooks export to {name}")
            found[name] = int(path.name[:2])
    return found


def own_imports(source: str) -> list:
    """What a module imports of its own package, wherever the import stands: (line, module or '', names).
    '' stands for the package itself, whose `__init__` may import anything."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.split(".")[0] == PACKAGE: found.append((node.lineno, a.name[len(PACKAGE) + 1:], [a.name]))
        elif isinstance(node, ast.ImportFrom):
            module, names = node.module or "", [a.name for a in node.names]
            if not node.level:
                if module.split(".")[0] != PACKAGE: continue
                module = module[len(PACKAGE) + 1:]
            if module: found.append((node.lineno, module, names))
            else: found += [(node.lineno, name, [name]) for name in names]  # from . import name
    return sorted(found)


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
                out.append(f"{where}: floor {floor[name]:02} imports {target}, of floor {floor[target]:02}")
            if "*" in names: out.append(f"{where}: star import of {target}")
    return out
