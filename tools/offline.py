"""Keep the site's pages from fetching anything from elsewhere. Quarto runs this after each render, by `post-render` in _quarto.yml.

    python tools/offline.py _docs

Into a page with any HTML among its outputs Quarto puts RequireJS and jQuery from a CDN, for widgets that want them. Ours bring
along all they need, so these tags are taken out. Whatever else a page or a style sheet would fetch is named, and is an error.
"""
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

_loaders = re.compile(r'<script[^>]*\bsrc="https?://[^"]*/(?:require|jquery)(?:\.min)?\.js"[^>]*>\s*</script>\s*'
                      r"|<script[^>]*>\s*define\('jquery'.*?</script>\s*", re.S)
_outside = re.compile(r"\s*(?:https?:)?//")
_in_css = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")
# of all other tags it is the src; a link of an <a> is not fetched
_fetched = {"link": "href", "object": "data"}
_rels = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch",
         "manifest"}


class Page(HTMLParser):
    "The tags of a page with their attributes, its style sheets and its visible text"
    def __init__(self, html: str):
        super().__init__()
        self.tags, self.css, self.text = [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs): self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_data(self, data):
        if self.cdata_elem == "style": self.css += data
        elif self.cdata_elem is None: self.text += data


def fetches(html: str) -> list:
    "The addresses elsewhere that a browser would fetch to show this page"
    page = Page(html)
    found = _in_css.findall(page.css)
    for tag, attrs in page.tags:
        if tag == "a" or tag == "link" and not _rels & set(attrs.get("rel",
                                                                     "").lower().split()): continue
        targets = [attrs.get(_fetched.get(tag, "src"), ""), attrs.get("poster", ""),
                   *attrs.get("srcset", "").split(",")]
        found += [t.strip() for t in targets
                  if _outside.match(t)] + _in_css.findall(attrs.get("style", ""))
    return found


def take_out_loaders(html: str) -> str:
    "`html` without the tags by which Quarto loads RequireJS and jQuery"
    return _loaders.sub("", html)


def main(folder: Path):
    found = []
    for path in sorted(folder.rglob("*.html")):
        html = path.read_text(encoding="utf-8")
        mended = take_out_loaders(html)
        if mended != html: path.write_text(mended, encoding="utf-8", newline="\n")
        found += [f"{path.name} fetches {address}" for address in fetches(mended)]
    for path in sorted(folder.rglob("*.css")):
        found += [f"{path.name} fetches {address}"
                  for address in _in_css.findall(path.read_text(encoding="utf-8"))]
    if found: raise SystemExit("\n".join(found))


if __name__ == "__main__":
    if len(sys.argv) > 2: raise SystemExit(__doc__)
    main(Path(sys.argv[1] if sys.argv[1:] else os.environ["QUARTO_PROJECT_OUTPUT_DIR"]))
