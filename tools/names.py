"""Write nbs/api.ipynb, the index of all public names, from the package's modules.

    python tools/names.py          # write it
    python tools/names.py --check  # say whether it agrees, and change nothing
"""
import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import yaml
from fastcore.script import call_parse
from pages import constants, escape, module_lines, module_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, NBS = "denoising_diffusion", ROOT/"nbs"
KERNEL = dict(display_name="python3", language="python", name="python3")
HEAD = """# All names

> The public names of the package, room by room, with a line for each"""
NOTE = ("*For everyone who looks for a name: a list to search, not to read. A name leads to its "
        "notebook and, on the site, to its signature and its code there. [Key]"
        "(glossary.ipynb#how-to-read-a-notebook) · [symbols](glossary.ipynb#symbols) · "
        "[words](glossary.ipynb#words)*")


def title_of(notebook: str) -> str:
    "The title of a notebook"
    cells = json.loads((NBS/notebook).read_text(encoding="utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.match(r"# (.+)", source).group(1)


def rooms() -> dict[str, list[str]]:
    "The notebooks of each room that export anything public, as sidebar.yml lists them"
    settings = yaml.safe_load((NBS/"sidebar.yml").read_text(encoding="utf-8"))
    sections = [entry for entry in settings["website"]["sidebar"]["contents"]
                if isinstance(entry, dict)]
    found = {entry["section"]: [*filter(public_names, entry["contents"])] for entry in sections}
    return {room: notebooks for room, notebooks in found.items() if notebooks}


def public_names(notebook: str) -> list[str]:
    "What a notebook's module exports for users, in the order of the notebook"
    module = module_name(notebook)
    return import_module(f"{PACKAGE}.{module}").__all__ if module else []


def first_line(name: str, module: str) -> str:
    "The line that says what a name is: its docstring, or the comment on a constant"
    node = constants(module).get(name)
    if node: text = module_lines(module)[node.lineno - 1].partition("  # ")[2]
    else: text = inspect.getdoc(getattr(import_module(f"{PACKAGE}.{module}"), name)) or ""
    return escape(text.partition("\n")[0])


def section(notebook: str) -> str:
    "The names of one notebook"
    module = module_name(notebook)
    lines = [f"- [{name}]({notebook}#{name.lower()}): {first_line(name, module)}"
             for name in public_names(notebook)]
    head = f"**[{title_of(notebook)}]({notebook})**, `{PACKAGE}.{module}`:\n"
    return "\n".join([head, *lines])


def cells() -> list[str]:
    "The texts of the notebook"
    found = [HEAD, NOTE]
    for room, notebooks in rooms().items():
        found.append("\n\n".join([f"## {room}", *map(section, notebooks)]))
    return found


def notebook() -> str:
    "The notebook as a file"
    made = [dict(cell_type="markdown", id=f"names{i:03}", metadata={},
                 source=text.splitlines(keepends=True)) for i, text in enumerate(cells())]
    metadata = dict(kernelspec=KERNEL)
    nb = dict(cells=made, metadata=metadata, nbformat=4, nbformat_minor=5)
    return json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@call_parse
def main(
    check: bool = False,  # change nothing, fail if the notebook is stale
):
    "Write the index of names, or check it"
    path, text = NBS/"api.ipynb", notebook()
    if not check: path.write_text(text, encoding="utf-8", newline="\n")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise SystemExit("nbs/api.ipynb is stale: run python tools/names.py")
