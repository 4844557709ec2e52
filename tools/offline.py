"""Keep the site's pages from fetching anything from elsewhere.

    python tools/offline.py _docs

Quarto runs this after each render, by `post-render` in _quarto.yml. Into a page with any HTML among
its outputs it puts RequireJS, jQuery and the loader of ipywidgets from a CDN, for widgets that want
them. Films bring along all they need, and widgets need a kernel, so these tags are taken out.
Whatever else a page or a style sheet would fetch is an error.
"""
import os
import re
from html.parser import HTMLParser
from pathlib import Path

from fastcore.script import Param, call_parse

_loaders = re.compile(
    r'<script[^>]*\bsrc="https?://[^"]*/(?:require|jquery|embed-amd)(?:\.min)?\.js"[^>]*>\s*</script>\s*'
    r"|<script[^>]*>\s*define\('jquery'.*?</script>\s*", re.S)
_outside = re.compile(r"\s*(?:https?:)?//")
_in_css = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")
_fetched = {"link": "href", "object": "data"}  # of all other tags it is the src
_rels = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch",
         "manifest"}


class Page(HTMLParser):
    "The tags of a page with their attributes, its style sheets and its visible text"
    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.css, self.text = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style": self.css += data
        elif self.cdata_elem is None: self.text += data


def is_link(tag: str, attrs: dict[str, str]) -> bool:
    "Whether a tag only links: its target is not fetched"
    rels = set(attrs.get("rel", "").lower().split())
    return tag == "a" or tag == "link" and not _rels & rels


def fetched_by(tag: str, attrs: dict[str, str]) -> list[str]:
    "The addresses elsewhere that a tag makes a browser fetch"
    if is_link(tag, attrs): return []
    source = attrs.get(_fetched.get(tag, "src"), "")
    targets = [source, attrs.get("poster", ""), *attrs.get("srcset", "").split(",")]
    outside = [target.strip() for target in targets if _outside.match(target)]
    return outside + _in_css.findall(attrs.get("style", ""))


def fetches(html: str) -> list[str]:
    "The addresses elsewhere that a browser would fetch to show this page"
    page = Page(html)
    by_tags = [address for tag, attrs in page.tags for address in fetched_by(tag, attrs)]
    return _in_css.findall(page.css) + by_tags


def take_out_loaders(html: str) -> str:
    "`html` without the tags by which Quarto loads RequireJS, jQuery and ipywidgets"
    return _loaders.sub("", html)


@call_parse
def main(
    folder: Param("default: $QUARTO_PROJECT_OUTPUT_DIR", Path, opt=False, nargs="?") = None,
):
    "Take the loaders out of all pages, and see that nothing else is fetched"
    folder = folder or Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    found = []
    for path in sorted(folder.rglob("*.html")):
        html = path.read_text(encoding="utf-8")
        mended = take_out_loaders(html)
        if mended != html: path.write_text(mended, encoding="utf-8", newline="\n")
        found += [f"{path.name} fetches {address}" for address in fetches(mended)]
    for path in sorted(folder.rglob("*.css")):
        addresses = _in_css.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.name} fetches {address}" for address in addresses]
    if found: raise SystemExit("\n".join(found))
