"""Look through the rendered pages of the site: links, anchors, images, previews and weight.

    python tools/rendered.py _docs

Each page must have what it links to, fetch nothing from elsewhere, and weigh at most a megabyte
with all that a browser loads for it.
"""
import gzip
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from fastcore.script import Param, call_parse
from offline import Page, fetches

MEGABYTE = 1_000_000
HEAVIER = {"pokemon.html": 1.5}  # many images in color
PREVIEW_BYTES = 100_000
_in_css = re.compile(r"""url\(\s*["']?(?!data:)([^"')\s]+)""")
_loaded = {"stylesheet", "icon", "preload", "modulepreload"}


class Site(NamedTuple):
    "A folder of pages, and where they will be"
    folder: Path
    url: str

    @property
    def prefix(self) -> str:
        "How an address from the root of the host begins"
        return urlsplit(self.url).path.rstrip("/") + "/"

    def find(self, page: Path, target: str) -> Path:
        "The file that an address on a page leads to"
        path = unquote(urlsplit(target).path)
        if path.startswith(self.prefix): return self.folder/path[len(self.prefix):]
        return page.parent/path if path else page


def read_url(nbs: Path) -> str:
    "The site's address, from Quarto's settings"
    settings = (nbs/"nbdev.yml").read_text(encoding="utf-8")
    return re.search(r'^\s*site-url: "([^"]+)"', settings, re.M)[1]


@cache
def parse(path: Path) -> Page:
    "The tags of a page"
    return Page(path.read_text(encoding="utf-8"))


def ids(path: Path) -> set[str]:
    "The anchors of a page"
    tags = [attrs for _, attrs in parse(path).tags]
    return {attrs[key] for attrs in tags for key in ("id", "name") if key in attrs}


def is_local(target: str) -> bool:
    "Whether an address leads to a file of the site"
    return not re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.I)


# Links

def link_fault(site: Site, page: Path, target: str) -> str | None:
    "What is wrong with a link"
    path, anchor = site.find(page, target), unquote(urlsplit(target).fragment)
    if path.is_dir(): path = path/"index.html"
    if not path.is_file(): return f"a link leads nowhere: {target}"
    if not anchor or path.suffix != ".html" or anchor in ids(path): return None
    return f"a link leads to no anchor: {target}"


def link_faults(site: Site, page: Path) -> list[str]:
    "Links to pages, files and anchors that aren't there"
    targets = {attrs["href"] for tag, attrs in parse(page).tags if tag == "a" and "href" in attrs}
    local = sorted(target for target in targets if is_local(target) and target not in ("", "#"))
    return list(filter(None, (link_fault(site, page, target) for target in local)))


# Images

def image_faults(site: Site, page: Path) -> list[str]:
    "Images that are missing, and images without a text"
    images = [attrs for tag, attrs in parse(page).tags if tag == "img"]
    mute = [attrs for attrs in images if not attrs.get("alt", "").strip()]
    sources = [attrs.get("src", "") for attrs in images]
    gone = [src for src in sources if is_local(src) and not site.find(page, src).is_file()]
    return ([f"an image has no alt text: {attrs.get('src', '')[:60]}" for attrs in mute]
            + [f"there is no image {src}" for src in gone])


def preview_faults(site: Site, page: Path) -> list[str]:
    "What is wrong with the image that others show of a link to a page"
    metas = [attrs for tag, attrs in parse(page).tags if tag == "meta"]
    said = {attrs.get("property"): attrs.get("content", "") for attrs in metas}
    count = sum(attrs.get("property") == "og:image" for attrs in metas)
    if count != 1: return [f"it has {count} previews"]
    faults = [] if said.get("og:image:alt") else ["its preview has no alt text"]
    address = said["og:image"]
    name = address.removeprefix(f"{site.url}/")
    if not re.fullmatch(r"[\w./-]+", name): return [*faults, f"its preview is {name[:60]}"]
    file = site.folder/name
    if not file.is_file(): return [*faults, f"there is no preview {file.name}"]
    size = file.stat().st_size
    return faults if size <= PREVIEW_BYTES else [*faults, f"its preview has {size:,} bytes"]


# Weight

def loads(tag: str, attrs: dict[str, str]) -> list[str]:
    "The addresses of the files that a tag makes a browser load"
    if tag == "link":
        rels = set(attrs.get("rel", "").lower().split())
        return [attrs.get("href", "")] if rels & _loaded else []
    return [attrs[key] for key in ("src", "poster") if attrs.get(key)]


@cache
def weigh(path: Path) -> int:
    "The bytes of a file when it is sent"
    return len(gzip.compress(path.read_bytes(), 6))


def files_of(site: Site, page: Path) -> set[Path]:
    "All files that a browser loads for a page, with those that style sheets name"
    tags = [(tag, attrs) for tag, attrs in parse(page).tags if tag != "a"]
    targets = {target for tag, attrs in tags for target in loads(tag, attrs)}
    files = {site.find(page, target).resolve() for target in targets if is_local(target)}
    for sheet in [file for file in files if file.suffix == ".css" and file.is_file()]:
        named = _in_css.findall(sheet.read_text(encoding="utf-8"))
        files |= {site.find(sheet, target).resolve() for target in named if is_local(target)}
    return {page.resolve(), *filter(Path.is_file, files)}


def weight(site: Site, page: Path) -> int:
    "The bytes that are sent for a page"
    return sum(map(weigh, files_of(site, page)))


def weight_faults(site: Site, page: Path) -> list[str]:
    "A page that is too heavy"
    most, bytes_ = HEAVIER.get(page.name, 1) * MEGABYTE, weight(site, page)
    return [f"it weighs {bytes_ / MEGABYTE:.2f} MB"] if bytes_ > most else []


def faults(site: Site, page: Path) -> list[str]:
    "All that is wrong with a page"
    outside = fetches(page.read_text(encoding="utf-8"))
    found = [f"it fetches {address[:80]}" for address in outside]
    for check in (link_faults, image_faults, preview_faults, weight_faults):
        found += check(site, page)
    return found


@call_parse
def main(folder: Param("the rendered site", Path)):
    "Name all that is wrong with the pages of a folder"
    site = Site(folder, read_url(Path(__file__).parent.parent/"nbs"))
    pages = sorted(folder.glob("*.html"))
    if not pages: raise SystemExit(f"there are no pages in {folder}")
    found = [f"{page.name}: {fault}" for page in pages for fault in faults(site, page)]
    if found: raise SystemExit("\n".join(found))
    heaviest = max(pages, key=lambda page: weight(site, page))
    megabytes = weight(site, heaviest) / MEGABYTE
    print(f"{len(pages)} pages are right; the heaviest, {heaviest.name}, weighs {megabytes:.2f} MB")
