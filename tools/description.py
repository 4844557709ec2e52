"""README.md as PyPI shows it: every link and picture is absolute, and belongs to one version.

    python tools/description.py dist/*  # exit status 1, and what is still relative in an archive

`setup.py` makes the text. The check renders what is in the archive as PyPI does, so that it sees
what a reader of that page would.
"""
import re
import sys
import tarfile
import zipfile
from email import message_from_bytes
from html.parser import HTMLParser
from pathlib import Path

FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.M | re.S)
MARKDOWN = re.compile(r"(?<=\]\()([^)\s]+)")
HTML = re.compile(r"""(?<=href=["']|.src=["'])([^"']+)""")
PICTURES = ".png", ".gif", ".jpg", ".svg", ".webp"


def address(target: str, repository: str, ref: str) -> str:
    "Where a file of the repository is on the web: a picture itself, anything else as its page"
    if re.match(r"[a-z][a-z0-9+.-]*:", target, re.I): return target
    if target.startswith("#"): return f"{repository}/blob/{ref}/README.md{target}"
    if not target.lower().endswith(PICTURES): return f"{repository}/blob/{ref}/{target}"
    raw = repository.replace("https://github.com", "https://raw.githubusercontent.com")
    return f"{raw}/{ref}/{target}"


def absolute(markdown: str, repository: str, ref: str) -> str:
    "`markdown` with its links into the repository made absolute; fenced code stays as it is"
    def turn(match: re.Match) -> str: return address(match[1], repository, ref)
    def turn_all(text: str) -> str: return HTML.sub(turn, MARKDOWN.sub(turn, text))
    parts = FENCE.split(markdown)
    return "".join(part if i % 2 else turn_all(part) for i, part in enumerate(parts))


class Targets(HTMLParser):
    "What the links and pictures of a page name"

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = [value for name, value in attrs if name in ("href", "src")]
        self.found += [value for value in named if value]


def render(markdown: str) -> str:
    "The page that PyPI makes of a description"
    from readme_renderer import markdown as renderer  # which setup.py doesn't need
    html = renderer.render(markdown)
    if html is None: raise SystemExit("readme_renderer can't render Markdown: install its extra md")
    return html


def targets(markdown: str) -> list[str]:
    "All links and pictures of a description, but for those within the page"
    return [target for target in Targets(render(markdown)).found if not target.startswith("#")]


def relative(markdown: str) -> list[str]:
    "The links and pictures of a description that lead nowhere on another site"
    return [target for target in targets(markdown) if not target.startswith("https://")]


def read_metadata(archive: Path) -> bytes:
    "The METADATA of a wheel, or the PKG-INFO of a source archive"
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as files:
            [name] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
            return files.read(name)
    with tarfile.open(archive) as files:
        [member] = [item for item in files if re.fullmatch(r"[^/]+/PKG-INFO", item.name)]
        return files.extractfile(member).read()


def read_description(archive: Path) -> str:
    "The long description of an archive"
    about = message_from_bytes(read_metadata(archive))
    text = about.get_payload(decode=True) or (about["Description"] or "").encode()
    return text.decode("utf-8")


def main(*archives: str) -> int:
    if not archives: sys.exit("name the archives to look at")
    faults = [f"{archive}: {target} is relative" for archive in archives
              for target in relative(read_description(Path(archive)))]
    faults += [f"{archive}: its description has no link" for archive in archives
               if not targets(read_description(Path(archive)))]
    print(*faults or [f"{len(archives)} descriptions with absolute links alone"], sep="\n")
    return bool(faults)


if __name__ == "__main__": sys.exit(main(*sys.argv[1:]))
