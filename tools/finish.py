"""What Quarto leaves to do on the site's pages: boxes that scroll, a skip link, and previews.

    python tools/finish.py _docs

Quarto runs this after each render, by `post-render` in _quarto.yml. Tables, formulas and outputs
that are too wide for a phone get a box that scrolls and that a key can reach. Long names in
headings may break at their dots, and code at sensible places (tools/breaks.py). Links out of nbs/
lead to the repository. What others show of a link, `og:image`, becomes a small file made of the
page's first figure. The font of icons keeps those that are used.
"""
import base64
import html
import os
import re
from collections.abc import Callable
from io import BytesIO
from itertools import zip_longest
from pathlib import Path

import yaml
from breaks import break_code, break_table
from fastcore.script import Param, call_parse
from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont
from offline import Page
from PIL import Image

ICONS = "bootstrap-icons.css"
PHONE = 38  # characters of code in a line on a phone
SIZE, ROOM = (1200, 630), (1120, 550)  # of a preview, and of the figure in it
MOST_BYTES = 100_000
SKIP = '<a class="skip-link" href="#quarto-document-content">Skip to the text</a>'
DEFAULT = ("images/numbers.png", "Fifty handwritten digits, five of each, drawn by the network")
_row, _cell = re.compile(r"<tr\b.*?</tr>", re.S), re.compile(r"<t[dh]\b.*?</t[dh]>", re.S)
_heading = re.compile(r"<h[1-6]\b.*?</h[1-6]>", re.S)
_table = re.compile(r"<table\b.*?</table>", re.S)
_formula = re.compile(r'<math display="block".*?</math>', re.S)
_output = re.compile(r"<pre>(.*?)</pre>", re.S)
_tex = re.compile(r"<annotation[^>]*>(.*?)</annotation>", re.S)
_figure = re.compile(r"<figure\b.*?</figure>", re.S)
_caption = re.compile(r"<figcaption[^>]*>(.*?)</figcaption>", re.S)
_beyond = re.compile(r'href="(?:\.\./)+([^"]+)"')
_icon = re.compile(r"\.(bi-[\w-]+)::before\s*\{\s*content:\s*[\"']\\([0-9a-f]+)")
_script = re.compile(r"(<script\b.*?</script>)", re.S)
_old = re.compile(r'\s*<meta (?:property|name)="(?:og|twitter):image[^>]*>')


def text_of(markup: str) -> str:
    "The text of a piece of HTML"
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


# What is wide

def cell_width(markup: str) -> int:
    "How many characters a cell wants: its text, up to a readable line, or its longest word"
    words = text_of(markup).split()
    longest = max(map(len, words), default=0)
    return max(longest, min(28, len(" ".join(words)))) + 2


def is_wide_table(table: str) -> bool:
    "Whether a phone is too narrow for a table"
    rows = [_cell.findall(row) for row in _row.findall(table)]
    columns = zip_longest(*rows, fillvalue="")
    return sum(max(map(cell_width, column)) for column in columns) > PHONE


def is_wide_text(markup: str) -> bool:
    "Whether a line of an output is too long for a phone"
    return any(len(line) > PHONE for line in text_of(markup).splitlines())


def is_wide_formula(formula: str) -> bool:
    "Whether a formula has a long source"
    tex = _tex.search(formula)
    return tex is None or len(tex[1]) > PHONE


def box(markup: str, label: str, is_wide: bool) -> str:
    "A box that scrolls; only if its content is wide, the key Tab stops there"
    stop = f' tabindex="0" role="group" aria-label="{label}"' if is_wide else ""
    return f'<span class="scrolls"{stop}>{markup}</span>'


# The parts of a page

def box_table(match: re.Match) -> str:
    "A table in its box"
    boxed = box(break_table(match[0]), "table", is_wide_table(match[0]))
    return re.sub(r"^<span|span>$", lambda m: m[0].replace("span", "div"), boxed)


def box_formula(match: re.Match) -> str:
    "A formula in its box"
    return box(match[0], "formula", is_wide_formula(match[0]))


def reach_output(match: re.Match) -> str:
    "An output, which scrolls already, as a stop of the key Tab if it is wide"
    if not is_wide_text(match[1]): return match[0]
    return f'<pre tabindex="0" role="group" aria-label="output">{match[1]}</pre>'


def break_names(match: re.Match) -> str:
    "A heading whose long names may break after a dot or an underscore"
    parts = re.split(r"(<[^>]+>)", match[0])
    parts[::2] = [re.sub(r"(?<=\w)([._]+)(?=\w)", r"\1<wbr>", part) for part in parts[::2]]
    return "".join(parts)


def name_figure(match: re.Match) -> str:
    "A figure whose image has its caption as the alternative text, since Quarto leaves that out"
    caption = _caption.search(match[0])
    if caption is None or re.search(r"<img\b[^>]*\balt=", match[0]): return match[0]
    alt = html.escape(" ".join(text_of(caption[1]).split()))
    named = match[0].replace("<img ", f'<img alt="{alt}" ')
    return named.replace("<figcaption>", '<figcaption aria-hidden="true">')


def mend_markup(page: str) -> str:
    "A page with its boxes, stops and breaks; scripts stay as they are"
    parts = _script.split(page)
    mends = [(_table, box_table), (_formula, box_formula), (_output, reach_output),
             (_heading, break_names), (_figure, name_figure)]
    parts[::2] = map(break_code, parts[::2])
    for pattern, mend in mends: parts[::2] = [pattern.sub(mend, part) for part in parts[::2]]
    return "".join(parts)


def add_skip_link(page: str) -> str:
    "A page whose first link leads past the navigation"
    if "quarto-document-content" not in page: return page
    return re.sub(r"<body\b[^>]*>", lambda match: f"{match[0]}\n{SKIP}", page, count=1)


def link_to_source(page: str, repo: str) -> str:
    "A page whose links out of nbs/ lead to the repository, as the site doesn't have these files"
    return _beyond.sub(lambda match: f'href="{repo}/{match[1]}"', page)


# Icons

def used_icons(folder: Path, names: dict[str, int]) -> set[int]:
    "The characters of the icons that some page, script or style sheet uses"
    files = [path for kind in ("html", "js", "css") for path in folder.rglob(f"*.{kind}")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.name != ICONS]
    words = {word for text in texts for word in re.findall(r"\bbi-[\w-]+", text)}
    codes = {code for text in texts for code in re.findall(r"\\(f[0-9a-f]{3})\b", text)}
    return {names[word] for word in words & names.keys()} | {int(code, 16) for code in codes}


def shrink_icons(folder: Path) -> None:
    "Leave out of the font what no page shows: of two thousand icons the site shows twenty"
    for sheet in folder.rglob(ICONS):
        names = {name: int(code, 16) for name, code in _icon.findall(sheet.read_text("utf-8"))}
        for path in sheet.parent.glob("bootstrap-icons.woff*"):
            font = TTFont(path)
            subsetter = Subsetter()
            subsetter.populate(unicodes=used_icons(folder, names))
            subsetter.subset(font)
            font.save(path)


# Previews

def load(source: str, folder: Path) -> Image.Image | None:
    "The image of a `src`, if it is one that can be drawn; of an animation the last frame"
    data = re.match(r"data:image/\w+;base64,", source)
    content = BytesIO(base64.b64decode(source[data.end():])) if data else folder/source
    try: image = Image.open(content)
    except (OSError, ValueError): return None
    image.seek(getattr(image, "n_frames", 1) - 1)
    return image.convert("RGBA")


def first_figure(page: str, folder: Path) -> tuple[Image.Image, str]:
    "The first image of a page with its alternative text, or the one for pages without any"
    tags = [attrs for tag, attrs in Page(page).tags if tag == "img"]
    sources = [(attrs.get("src", ""), attrs.get("alt", "")) for attrs in tags]
    found = [(load(source, folder), alt) for source, alt in [*sources, DEFAULT] if alt]
    return next((image, alt) for image, alt in found if image is not None)


def fit(image: Image.Image) -> Image.Image:
    "An image in the middle of a white preview; small ones grow by a whole number"
    scale = min(room/side for room, side in zip(ROOM, image.size))
    sharp = scale >= 2
    if sharp: scale = int(scale)
    way = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
    image = image.resize([max(1, round(side*scale)) for side in image.size], way)
    preview = Image.new("RGBA", SIZE, "white")
    left, top = ((side - used)//2 for side, used in zip(SIZE, image.size))
    preview.alpha_composite(image, (left, top))
    return preview.convert("RGB")


def encode(preview: Image.Image) -> bytes:
    "A preview as a PNG of at most 100 kB: of fewer colors, and then of half the size, if need be"
    smaller = preview.resize([side//2 for side in preview.size], Image.Resampling.LANCZOS)
    for image, colors in [(preview, 128), (preview, 32), (smaller, 128), (smaller, 16)]:
        file = BytesIO()
        image.quantize(colors).save(file, "png", optimize=True)
        if file.tell() <= MOST_BYTES: break
    return file.getvalue()


def preview_tags(address: str, alt: str) -> str:
    "What a page says of its preview"
    return (f'<meta property="og:image" content="{address}">\n'
            f'<meta property="og:image:alt" content="{html.escape(alt)}">\n')


def add_preview(page: str, path: Path, folder: Path, site: str) -> str:
    "A page that names its preview, and the preview in the folder `previews`"
    image, alt = first_figure(page, folder)
    name = f"previews/{path.stem}.png"
    (folder/"previews").mkdir(exist_ok=True)
    (folder/name).write_bytes(encode(fit(image)))
    return _old.sub("", page).replace("</head>", f"{preview_tags(f'{site}/{name}', alt)}</head>", 1)


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    "Change the text of a file"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


@call_parse
def main(
    folder: Param("default: $QUARTO_PROJECT_OUTPUT_DIR", Path, opt=False, nargs="?") = None,
):
    "Finish all pages of a folder"
    folder = folder or Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    settings = Path(__file__).parent.parent/"nbs"/"nbdev.yml"
    site = yaml.safe_load(settings.read_text(encoding="utf-8"))["website"]
    repo = f"{site['repo-url']}/blob/{site['repo-branch']}"

    def finish(page: str) -> str:
        if "og:image:alt" in page and SKIP in page: return page
        mended = add_skip_link(link_to_source(mend_markup(page), repo))
        return add_preview(mended, path, folder, site["site-url"])

    for path in sorted(folder.glob("*.html")): rewrite(path, finish)
    shrink_icons(folder)
