"""Write README.md from nbs/index.ipynb, as `nbdev_readme` does, but without Quarto.

    python tools/readme.py            # write README.md
    python tools/readme.py --check    # say whether README.md agrees, and change nothing
"""
import difflib
import posixpath
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK, README = ROOT/"nbs"/"index.ipynb", ROOT/"README.md"
NOTE = "<!-- Written from nbs/index.ipynb by tools/readme.py: edit the notebook, not this file. -->"

_directive = re.compile(r"^#\|\s*(\S+?):?(?:\s+(.*))?$", re.M)
_fence = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.M | re.S)
# also of a picture that is a link: [![…](picture)](target)
_link = re.compile(r"((?:!?\[[^\]]*|\))\]\()([^)\s]+)")
_attr = re.compile(r"""(<(?:img|a)\b[^>]*?\b(?:src|href)=["'])([^"']+)""")


def directives(cell) -> dict:
    "The `#|` lines at the head of a code cell, e.g. {'hide': '', 'echo': 'false'}"
    if cell.cell_type != "code": return {}
    head = re.match(r"(?:\s*#\|[^\n]*\n?)*", cell.source).group()
    return {name: (value or "").strip().lower() for name, value in _directive.findall(head)}


def from_root(target: str) -> str:
    "A link of the notebook, which stands in nbs/, as it reads from the top folder"
    if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target, re.I): return target
    path, *anchor = target.split("#", 1)
    return "#".join([posixpath.normpath(posixpath.join("nbs", path)), *anchor])


def relink(markdown: str) -> str:
    "`markdown` with its relative links and pictures turned to the top folder; fenced code stays as it is"
    turn = lambda m: m.group(1) + from_root(m.group(2))
    parts = _fence.split(markdown)
    return "".join(p if i % 2 else _attr.sub(turn, _link.sub(turn, p)) for i, p in enumerate(parts))


def shown(cell):
    "`cell` as a reader should meet it, or None when it is hidden"
    flags = directives(cell)
    if {"hide", "default_exp", "export", "exporti",
        "hide_output_and_source"} & flags.keys(): return None
    if flags.get("include") == "false": return None
    cell = nbformat.from_dict(cell)
    if cell.cell_type == "markdown":
        cell.source = relink(cell.source)
        return cell
    if cell.cell_type == "code":
        cell.source = re.sub(r"\A(?:\s*#\|[^\n]*\n?)*", "", cell.source)
        if "hide_input" in flags or flags.get("echo") == "false": cell.source = ""
        if "hide_output" in flags or flags.get("output") == "false": cell.outputs = []
        for out in cell.outputs:
            data = out.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                raise SystemExit("index.ipynb: a code cell holds a picture. Save it under nbs/images and show it "
                                 "with ![what it shows](images/name.png), so that README.md can show it as well.")
            if "text/plain" in data: data.pop("text/html", None)
        if not cell.source.strip() and not cell.outputs: return None
    return cell


def render(notebook=NOTEBOOK) -> str:
    "The text of README.md"
    nb = nbformat.read(notebook, as_version=4)
    nb.cells = [c for c in map(shown, nb.cells) if c is not None]
    nb.metadata["language_info"] = {"name": "python"}
    body, _ = MarkdownExporter().from_notebook_node(nb)
    body = re.sub(r"[ \t]+$", "", body, flags=re.M)
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"{NOTE}\n\n{body}\n"


def difference() -> str:
    "What `README.md` says otherwise than the notebook: empty when they agree"
    have = README.read_text(encoding="utf-8") if README.exists() else ""
    return "".join(difflib.unified_diff(have.splitlines(True), render().splitlines(True),
                                        "README.md", "index.ipynb"))


def code_blocks(text: str) -> list:
    "The ```sh blocks of a Markdown text, in order"
    return re.findall(r"^```(?:sh|bash|shell)[ \t]*\n(.*?)^```", text, flags=re.M | re.S)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        diff = difference()
        if diff: raise SystemExit(f"{diff}\nREADME.md and nbs/index.ipynb disagree: run python tools/readme.py")
        print("README.md agrees with nbs/index.ipynb")
    elif sys.argv[1:2] == ["--block"] and len(sys.argv) == 3:
        blocks, n = code_blocks(README.read_text(encoding="utf-8")), int(sys.argv[2])
        if n > len(blocks): raise SystemExit(f"README.md has {len(blocks)} sh blocks, there is no number {n}")
        print(blocks[n - 1], end="")
    elif sys.argv[1:]: raise SystemExit(__doc__)
    else: README.write_text(render(), encoding="utf-8", newline="\n")
