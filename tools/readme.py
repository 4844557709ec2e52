"""Write README.md from nbs/index.ipynb, as `nbdev_readme` does, but without Quarto.

    python tools/readme.py            # write README.md
    python tools/readme.py --check    # say whether README.md agrees, and change nothing
    python tools/readme.py --block 1  # print the first `sh` block of README.md
"""
import difflib
import posixpath
import re
from configparser import ConfigParser
from pathlib import Path

import nbformat
from fastcore.script import call_parse
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK, README = ROOT/"nbs"/"index.ipynb", ROOT/"README.md"
NOTE = "<!-- Written from nbs/index.ipynb by tools/readme.py: edit the notebook, not this file. -->"

BADGES = """
[![tests]({git_url}/actions/workflows/test.yaml/badge.svg?branch={branch})]({tests})
[![site]({git_url}/actions/workflows/docs.yaml/badge.svg?branch={branch})]({site})
[![version on PyPI](https://img.shields.io/pypi/v/{lib_name})]({pypi})
[![Python {min_python} or later](https://img.shields.io/badge/python-{min_python}%2B-blue)]({pypi})
[![license: MIT](https://img.shields.io/badge/license-MIT-blue)](LICENSE)
"""

_directive = re.compile(r"^#\|\s*(\S+?):?(?:\s+(.*))?$", re.M)
_fence = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.M | re.S)
_link = re.compile(r"((?:!?\[[^\]]*|\))\]\()([^)\s]+)")  # also [![…](picture)](target)
_attr = re.compile(r"""(<(?:img|a)\b[^>]*?\b(?:src|href)=["'])([^"']+)""")


def directives(cell: nbformat.NotebookNode) -> dict[str, str]:
    "The `#|` lines at the head of a code cell, e.g. {'hide': '', 'echo': 'false'}"
    if cell.cell_type != "code": return {}
    head = re.match(r"(?:\s*#\|[^\n]*\n?)*", cell.source).group()
    return {name: (value or "").strip().lower() for name, value in _directive.findall(head)}


def from_root(target: str) -> str:
    "A link in the notebook, which lies in nbs/, as it reads from the top folder"
    if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target, re.I): return target
    path, *anchor = target.split("#", 1)
    return "#".join([posixpath.normpath(posixpath.join("nbs", path)), *anchor])


def relink(markdown: str) -> str:
    "`markdown` with its relative links turned to the top folder; fenced code stays as it is"
    def turn(match: re.Match) -> str: return match.group(1) + from_root(match.group(2))
    def turn_all(text: str) -> str: return _attr.sub(turn, _link.sub(turn, text))
    parts = _fence.split(markdown)
    return "".join(part if i % 2 else turn_all(part) for i, part in enumerate(parts))


def is_hidden(flags: dict[str, str]) -> bool:
    "Whether a cell with these directives is not shown"
    hidden = {"hide", "default_exp", "export", "exporti", "hide_output_and_source"} & flags.keys()
    return bool(hidden) or flags.get("include") == "false"


def plain_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    "An output as text, without HTML; an image is an error"
    data = output.get("data", {})
    if any(kind.startswith("image/") for kind in data):
        raise SystemExit("index.ipynb: a code cell holds an image. Save it under nbs/images and "
                         "show it with ![what it shows](images/name.png), so that README.md can "
                         "show it as well.")
    if "text/plain" in data: data.pop("text/html", None)
    return output


def shown_code(cell: nbformat.NotebookNode, flags: dict[str, str]) -> nbformat.NotebookNode | None:
    "A code cell without directives and hidden parts, or None when nothing is left"
    cell.source = re.sub(r"\A(?:\s*#\|[^\n]*\n?)*", "", cell.source)
    if "hide_input" in flags or flags.get("echo") == "false": cell.source = ""
    if "hide_output" in flags or flags.get("output") == "false": cell.outputs = []
    cell.outputs = [plain_output(output) for output in cell.outputs]
    return cell if cell.source.strip() or cell.outputs else None


def shown(cell: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    "A cell as a reader sees it, or None when it is hidden"
    flags, cell = directives(cell), nbformat.from_dict(cell)
    if is_hidden(flags): return None
    if cell.cell_type == "code": return shown_code(cell, flags)
    if cell.cell_type == "markdown": cell.source = relink(cell.source)
    return cell


def badges() -> str:
    "What the README alone shows below its title: a page of the site fetches nothing"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    settings = config["DEFAULT"]
    tests = f"{settings['git_url']}/actions/workflows/test.yaml"
    site = f"{settings['doc_host']}{settings['doc_baseurl']}/"
    pypi = f"https://pypi.org/project/{settings['lib_name']}/"
    return BADGES.format(**settings, tests=tests, site=site, pypi=pypi)


def render(notebook: Path = NOTEBOOK) -> str:
    "The text of README.md"
    nb = nbformat.read(notebook, as_version=4)
    nb.cells = [c for c in map(shown, nb.cells) if c is not None]
    nb.metadata["language_info"] = {"name": "python"}
    body, _ = MarkdownExporter().from_notebook_node(nb)
    body = re.sub(r"[ \t]+$", "", body, flags=re.M)
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    title, rest = body.split("\n", 1)
    return f"{NOTE}\n\n{title}\n{badges()}{rest}\n"


def difference() -> str:
    "How README.md and the notebook differ: empty when they agree"
    have = README.read_text(encoding="utf-8") if README.exists() else ""
    texts = [text.splitlines(keepends=True) for text in (have, render())]
    return "".join(difflib.unified_diff(*texts, "README.md", "index.ipynb"))


def code_blocks(text: str) -> list[str]:
    "The ```sh blocks of a Markdown text, in order"
    return re.findall(r"^```(?:sh|bash|shell)[ \t]*\n(.*?)^```", text, flags=re.M | re.S)


def check_agreement() -> None:
    "An error unless README.md says what the notebook says"
    found = difference()
    if found:
        raise SystemExit(f"{found}\nREADME.md and nbs/index.ipynb disagree: "
                         "run python tools/readme.py")
    print("README.md agrees with nbs/index.ipynb")


def print_block(number: int) -> None:
    "Print a block of commands"
    blocks = code_blocks(README.read_text(encoding="utf-8"))
    if not 1 <= number <= len(blocks):
        raise SystemExit(f"README.md has {len(blocks)} sh blocks, there is no number {number}")
    print(blocks[number - 1], end="")


@call_parse
def main(
    check: bool = False,  # say whether README.md agrees, and change nothing
    block: int | None = None,  # print this `sh` block of README.md, from 1 on, and change nothing
):
    "Write README.md from nbs/index.ipynb"
    if check: return check_agreement()
    if block is not None: return print_block(block)
    README.write_text(render(), encoding="utf-8", newline="\n")
