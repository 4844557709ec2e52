"""THIRD_PARTY_LICENSES.md: what the package needs, with the license and the home page of each.

    python tools/licences.py          # write it, from the metadata of what is installed here
    python tools/licences.py --check  # exit status 1, and the names that it lacks or has too many

The check compares names alone, so that a new version of a library doesn't fail it."""
import re
import sys
from configparser import ConfigParser
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT/"THIRD_PARTY_LICENSES.md"
HEAD = """# Third-party licenses

This package is under the [MIT license](LICENSE). It contains the emoji of two free sets, each with
its license beside it: [Fluent Emoji Flat](denoising_diffusion/emoji/LICENSE-fluent.txt) (MIT,
Microsoft) and [Noto Emoji](denoising_diffusion/emoji/LICENSE-noto.txt) (Apache 2.0, Google). It
contains none of the libraries below: pip installs them, each under its own license, and with others
that they need themselves.
`tools/licences.py` writes the list from the metadata of installed versions. Only the license text
of a library itself is binding.
"""
SECTIONS = {"requirements": "Needed by the package", "notebooks_requirements": "Extra `notebooks`",
            "tensorboard_requirements": "Extra `tensorboard`",
            "bench_requirements": "Extra `bench`", "dev_requirements": "Extra `dev`"}


def required_names() -> dict[str, list[str]]:
    "The names in each list of settings.ini, each name in the first list that has it"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    lists, seen = {}, set()
    for section in SECTIONS:
        words = config["DEFAULT"][section].split()
        names = [re.split(r"[\[<>=~!]", word)[0] for word in words]
        lists[section] = [name for name in dict.fromkeys(names) if name not in seen]
        seen |= {*names}
    return lists


def find_license(about: Message) -> str:
    "The name of a license, from the newest kind of entry that the metadata have"
    if about.get("License-Expression"): return about["License-Expression"]
    name = (about.get("License") or "").strip()
    if name and "\n" not in name: return name  # several lines are the text of a license
    kinds = [kind for kind in about.get_all("Classifier", []) if kind.startswith("License ::")]
    return ", ".join(kind.split(" :: ")[-1] for kind in kinds) or "not in its metadata"


def find_home(about: Message) -> str:
    "The address of the home page, of the sources, or else of the page on PyPI"
    entries = [entry.split(", ", 1) for entry in about.get_all("Project-URL", [])]
    links = {label.lower(): url for label, url in entries}
    for label in ("homepage", "home", "source", "source code", "repository", "github"):
        if label in links: return links[label]
    return about.get("Home-page") or f"https://pypi.org/project/{about['Name']}/"


def row(name: str) -> str:
    "A row of the table; this program ends if the library isn't installed"
    try: about = metadata(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed: pip install -e '.[dev,notebooks,bench]'")
    return f"| [{name}]({find_home(about)}) | {find_license(about)} |\n"


def make_page() -> str:
    parts = [HEAD]
    for section, names in required_names().items():
        rows = "".join(map(row, names))
        parts.append(f"\n## {SECTIONS[section]}\n\n| library | license |\n|---|---|\n{rows}")
    return "".join(parts)


def differences() -> list[str]:
    "A line for each name that the file lacks, or has although nothing requires it"
    page = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    listed = re.findall(r"^\| \[(\S+)\]", page, re.M)
    wanted = [name for names in required_names().values() for name in names]
    lines = [f"{FILE.name} lacks {name}" for name in wanted if name not in listed]
    return lines + [f"{FILE.name} lists {name}, which settings.ini doesn't require"
                    for name in listed if name not in wanted]


def main(*words: str) -> int:
    if "--check" not in words:
        FILE.write_text(make_page(), encoding="utf-8")
        return 0
    lines = differences()
    for line in lines: print(line)
    if lines: print("run python tools/licences.py")
    return bool(lines)


if __name__ == "__main__": sys.exit(main(*sys.argv[1:]))
