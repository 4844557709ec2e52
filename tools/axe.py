"""Look at the rendered pages in a browser: contrast and structure by axe, and what doesn't fit.

    python tools/axe.py _docs
    python tools/axe.py _docs --shots /tmp/shots --only index

Opens each page at the width of a laptop and of a phone, in light and in dark. Fails on serious and
critical violations of axe's rules, on code whose end can't be seen, on pages that scroll sideways,
and on headings that the header hides from those who follow a link. Needs Chromium, playwright and
axe-playwright-python, which brings axe.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from browser import ARGS, find_chromium
from fastcore.script import Param, call_parse
from rendered import read_url

WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
IMPACTS = {"serious", "critical"}
# Code must fit; outputs and drawings in characters may also scroll
CUT = """() => [...document.querySelectorAll("pre")].filter(block => {
    const isCode = block.closest("div.sourceCode") && !block.closest(".cell-output");
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(block).overflowX);
    return block.scrollWidth > block.clientWidth + 1 && (isCode || !scrolls);
  }).map(block => block.textContent.trim().split("\\n")[0].slice(0, 50))"""
SIDEWAYS = "() => document.scrollingElement.scrollWidth - innerWidth"
# The headings of the sections in the middle of a page and of its definitions, at their addresses
HIDDEN = """async () => {
    const header = document.getElementById("quarto-header");
    if (!header) return [];
    const all = [...document.querySelectorAll("section[id]")];
    const some = [all[Math.floor(all.length / 2)], document.querySelector("section.level3[id]")];
    const hidden = [];
    for (const section of some.filter(section => section)) {
      location.hash = "#" + section.id;
      await new Promise(done => setTimeout(done, 300));  // the header moves in or out
      const top = section.querySelector("h1, h2, h3, h4").getBoundingClientRect().top;
      if (top < header.getBoundingClientRect().bottom) hidden.push(section.id);
    }
    return hidden;
  }"""
AXE = """async () => (await axe.run({resultTypes: ["violations"]})).violations
  .map(({id, impact, nodes}) => ({id, impact, where: nodes.map(node => node.target.join(" "))}))"""


class Handler(SimpleHTTPRequestHandler):
    "Files of a folder, as the site's host serves them, without a word in the shell"
    def __init__(self, *args, prefix: str = "/", **kwargs):
        self.prefix = prefix
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        return super().translate_path("/" + path.removeprefix(self.prefix))

    def log_message(self, *args) -> None: pass


@contextmanager
def serve(folder: Path, prefix: str = "/") -> Iterator[str]:
    "The address of a server for a folder"
    handler = partial(Handler, directory=str(folder), prefix=prefix)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


@contextmanager
def open_browser() -> Iterator[Any]:
    "A browser"
    from playwright.sync_api import sync_playwright
    path = find_chromium()
    if path is None: raise SystemExit("there is no browser: on Debian, apt-get install chromium")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


def read_axe() -> str:
    "The script of axe"
    return (resources.files("axe_playwright_python")/"axe.min.js").read_text(encoding="utf-8")


def violations(page, script: str) -> list[str]:
    "The serious and critical violations of axe's rules, in words"
    page.evaluate(script)
    found = [each for each in page.evaluate(AXE) if each["impact"] in IMPACTS]
    return [f"{each['impact']} {each['id']}, {len(each['where'])} times: "
            f"{'; '.join(each['where'][:3])}" for each in found]


def misfits(page) -> list[str]:
    "What is too wide for the window or behind the header, in words"
    cut, sideways, hidden = map(page.evaluate, (CUT, SIDEWAYS, HIDDEN))
    hides = [f"the header hides the heading that #{name} leads to" for name in hidden]
    found = [f"text is cut off, {len(cut)} times: {'; '.join(cut[:3])}"] if cut else []
    if sideways > 1: found.append(f"the page scrolls sideways by {sideways} pixels")
    return found + hides


def examine(page, script: str) -> list[str]:
    "All that is wrong with an open page"
    return [*misfits(page), *violations(page, script)]


def visit(browser, url: str, width: int, scheme: str, script: str, shot: Path | None = None):
    "Open a page at a width and in a color scheme, and return what is wrong with it"
    size = dict(width=width, height=900)
    page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
    page.set_default_timeout(180_000)  # milliseconds: long pages on a busy machine
    try:
        page.goto(url, wait_until="load")
        page.wait_for_timeout(200)  # what scripts still move
        if shot: page.screenshot(path=shot, full_page=True)
        return examine(page, script)
    finally:
        page.close()


@call_parse
def main(
    folder: Param("the rendered site", Path),
    shots: Param("a folder for screenshots", Path) = None,
    axe: Param("axe.min.js; default: that of axe-playwright-python", Path) = None,
    only: Param("only pages whose names contain this", str) = "",
):
    "Name all that is wrong with the pages of a folder, at two widths, in light and dark"
    script = axe.read_text(encoding="utf-8") if axe else read_axe()
    names = sorted(path.stem for path in folder.glob("*.html") if only in path.stem)
    if not names: raise SystemExit(f"there are no pages in {folder}")
    if shots: shots.mkdir(parents=True, exist_ok=True)
    prefix = urlsplit(read_url(Path(__file__).parent.parent/"nbs")).path.rstrip("/") + "/"
    found, views = [], list(product(names, WIDTHS, SCHEMES))
    with serve(folder, prefix) as address, open_browser() as browser:
        for name, width, scheme in views:
            shot = shots/f"{name}-{width}-{scheme}.png" if shots else None
            faults = visit(browser, f"{address}{name}.html", width, scheme, script, shot)
            found += [f"{name}, {width} pixels, {scheme}: {fault}" for fault in faults]
    if found: raise SystemExit("\n".join(found))
    print(f"{len(names)} pages are right, in {len(views)} views")
