"""Let the site's search find definitions first.

    python tools/search.py _docs

Quarto runs this after each render, by `post-render` in _quarto.yml. Its search knows pages and
their sections, but not what stands deeper: the documentation of a name is part of a long section.
So each name gets an entry of its own, before all others. It also takes each formula twice, as
symbols and as TeX, and the TeX is left out.
"""
import html
import json
import os
import re
from pathlib import Path

from fastcore.script import Param, call_parse
from nbdev.config import get_config
from pages import page_of

_doc = re.compile(r"### (?P<name>[\w.]+)\n\n```python\n(?P<code>.*?)\n```\n\n(?P<text>.*)", re.S)
_math = re.compile(r"<math\b.*?</math>", re.S)
_tex = re.compile(r"<annotation\b.*?</annotation>", re.S)
_link = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def entries(path: Path) -> list[dict]:
    "The entries for what a mended notebook documents"
    nb, page = json.loads(path.read_text(encoding="utf-8")), page_of(path)
    title = re.search(r"^title: (.+)", "".join(nb["cells"][0]["source"]), flags=re.M)
    docs = filter(None, (_doc.fullmatch("".join(cell["source"])) for cell in nb["cells"]))
    return [entry(doc, page, title[1].strip("'\"") if title else page) for doc in docs]


def entry(doc: re.Match, page: str, title: str) -> dict:
    "What the search knows of one name"
    place = f"{page}#{doc['name'].lower()}"
    text = _link.sub(r"\1", doc["text"]).removesuffix("source").replace("`", "").strip()
    return dict(objectID=place, href=place, title=title, section=doc["name"],
                text=f"{text}\n{doc['code']}")


def text_of(markup: str) -> str:
    "The text of a piece of HTML"
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def formulas(page: str) -> dict[str, str]:
    "The symbols of each formula of a page, by what Quarto's search has in their place"
    found = set(_math.findall(page))
    return {text_of(formula): text_of(_tex.sub("", formula)) for formula in found}


def leave_tex_out(text: str, symbols: dict[str, str]) -> str:
    "A text of the search without the TeX of its formulas; the longest first, as some hold others"
    for both in sorted(symbols, key=len, reverse=True):
        alone = rf"(?<!\w){re.escape(both)}(?!\w)"
        if both in text: text = symbols[both].join(re.split(alone, text))
    return text


def mend_formulas(entries: list[dict], folder: Path) -> None:
    "Leave the TeX out of all entries"
    pages = {entry["href"].partition("#")[0] for entry in entries}
    known = {page: formulas((folder/page).read_text(encoding="utf-8"))
             for page in pages if (folder/page).is_file()}
    for entry in entries:
        symbols = known.get(entry["href"].partition("#")[0], {})
        entry["text"] = leave_tex_out(entry["text"], symbols)


@call_parse
def main(
    folder: Param("default: $QUARTO_PROJECT_OUTPUT_DIR", Path, opt=False, nargs="?") = None,
):
    "Put an entry for each name before those of Quarto"
    folder = folder or Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    index = folder/"search.json"
    known = json.loads(index.read_text(encoding="utf-8"))
    paths = sorted((get_config().config_path/"_proc").glob("*.ipynb"))
    new = [found for path in paths for found in entries(path)]
    ours = {found["objectID"] for found in new}
    crumbs = {old["href"]: old["crumbs"] for old in known if "crumbs" in old}
    for found in new: found["crumbs"] = crumbs.get(found["href"].partition("#")[0], [])
    others = [old for old in known if old["objectID"] not in ours]
    mend_formulas(others, folder)
    index.write_text(json.dumps([*new, *others], ensure_ascii=False), encoding="utf-8")
