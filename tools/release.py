"""What a release needs: a tag that is the version of settings.ini, and its entry in CHANGELOG.md.

    python tools/release.py --tag v1.2.3  # exit status 1, and what is wrong, or nothing
    python tools/release.py --notes       # the entry as the text of a release on GitHub

On GitHub each line of such a text ends where it ends in the file, so the lines of a paragraph are
joined, and links are made absolute.
"""
import argparse
import re
import sys
from configparser import ConfigParser
from pathlib import Path

from description import FENCE, absolute

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = ROOT/"CHANGELOG.md"
DATE = r"\d{4}-\d\d-\d\d"


def read_settings() -> dict[str, str]:
    "The entries of settings.ini"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return dict(config["DEFAULT"])


def entry(version: str) -> tuple[str, str]:
    "The date in the heading of a version's entry, and the text of the entry"
    text = CHANGELOG.read_text(encoding="utf-8")
    heading = rf"^## {re.escape(version)} – (.+)\n((?s:.*?))(?=^## |\Z)"
    found = re.search(heading, text, re.M)
    return (found[1].strip(), found[2].strip()) if found else ("", "")


def faults(tag: str) -> list[str]:
    "Why the code as it is can't be released by this tag"
    version = read_settings()["version"]
    date, text = entry(version)
    wrong = [] if tag == f"v{version}" else [f"the tag is {tag}, but the version is {version}"]
    if not text: return [*wrong, f"CHANGELOG.md has no entry of {version}"]
    if not re.fullmatch(DATE, date): wrong.append(f"CHANGELOG.md gives no date, but {date!r}")
    return wrong


def join_lines(markdown: str) -> str:
    "`markdown` with one line for each paragraph and item; tables and fenced code stay as they are"
    own = r"[ \t]*(?:[-*+|#>]|\d+\.|$)"  # how a line starts that is not the end of the last one
    parts = FENCE.split(markdown)
    joined = [part if i % 2 else re.sub(rf"(?<=[^\n|])\n(?!{own})[ \t]*", " ", part, flags=re.M)
              for i, part in enumerate(parts)]
    return "".join(joined)


def notes() -> str:
    "The text of the release"
    settings = read_settings()
    version = settings["version"]
    repository = settings["git_url"]
    return absolute(join_lines(entry(version)[1]), repository, f"v{version}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tag", help="say what is wrong with a release by this tag")
    parser.add_argument("--notes", action="store_true", help="print the text of the release")
    options = parser.parse_args()
    if options.notes: print(notes())
    if options.tag and (wrong := faults(options.tag)): sys.exit("\n".join(wrong))


if __name__ == "__main__": main()
