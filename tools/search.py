"""Let the site's search find definitions first.

    python tools/search.py _docs

Quarto runs this after each render, by `post-render` in _quarto.yml. Its search knows pages and
their sections, but not what stands deeper: the documentation of a name is part of a long section.
So each name gets an entry of its own, before all others.
"""
import json
import os
import re
from pathlib import Path

from fastcore.script import Param, call_parse
from nbdev.config import get_config
from pages import page_of

_doc = re.compile(r"### (?P<name>[\w.]+)\n\n```python\n(?P<code>.*?)\n```\n\n(?P<text>.*)", re.S)
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


@call_parse
def main(
    folder: Param("default: $QUARTO_PROJECT_OUTPUT_DIR", Path, opt=False, nargs="?") = None,
):
    "Put an entry for each name before those of Quarto"
    index = (folder or Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]))/"search.json"
    known = json.loads(index.read_text(encoding="utf-8"))
    paths = sorted((get_config().config_path/"_proc").glob("*.ipynb"))
    new = [found for path in paths for found in entries(path)]
    ours = {found["objectID"] for found in new}
    crumbs = {old["href"]: old["crumbs"] for old in known if "crumbs" in old}
    for found in new: found["crumbs"] = crumbs.get(found["href"].partition("#")[0], [])
    others = [old for old in known if old["objectID"] not in ours]
    index.write_text(json.dumps([*new, *others], ensure_ascii=False), encoding="utf-8")
