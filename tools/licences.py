"""THIRD_PARTY_LICENSES.md: what the package needs, with the licence and the home page of each.

    python tools/licences.py          # write it, from what is installed here
    python tools/licences.py --check  # exit status 1 unless it lists the requirements of settings.ini

The check compares names alone, so that a new version of a library doesn't fail it."""
import argparse
import re
import sys
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT/"THIRD_PARTY_LICENSES.md"
HEAD = """# Third-party licenses

This package is under the [MIT license](LICENSE). It contains none of the libraries below: pip
installs them, each under its own license, and with others that they need themselves. The list is
written by `tools/licences.py` from the metadata of the installed versions; only the license text
of a library itself is binding.
"""
SECTIONS = {"requirements": "Needed by the package", "notebooks_requirements": "Extra `notebooks`",
            "bench_requirements": "Extra `bench`", "dev_requirements": "Extra `dev`, for developers"}
SHORT = 60  # a License entry longer than this is the text of a license, not its name


def read_names() -> dict[str, list[str]]:
    "The names of the requirements of each list in settings.ini, each name once"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    names, seen = {}, set()
    for section in SECTIONS:
        found = [re.split("[<>=~!]", word)[0] for word in config["DEFAULT"][section].split()]
        names[section] = sorted({*found} - seen)
        seen |= {*found}
    return names


def license_of(about) -> str:
    "The name of a license, from the newest kind of entry that the metadata have"
    expression = about.get("License-Expression") or about.get("License") or ""
    if expression.strip() and len(expression) <= SHORT: return expression.strip()
    kinds = [kind for kind in about.get_all("Classifier", []) if kind.startswith("License ::")]
    return ", ".join(kind.split(" :: ")[-1] for kind in kinds) or "see its home page"


def home_of(name: str, about) -> str:
    "The address of the home page, of the sources, or else of the page on PyPI"
    links = dict(entry.split(", ", 1) for entry in about.get_all("Project-URL", []))
    links = {label.lower(): url for label, url in links.items()}
    for label in ("homepage", "home", "source", "source code", "repository", "github"):
        if label in links: return links[label]
    return about.get("Home-page") or f"https://pypi.org/project/{name}"


def row(name: str) -> str:
    "A row of the table; it ends this program if the library isn't installed"
    try: about = metadata(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed: pip install -e '.[dev,notebooks,bench]'")
    return f"| {name} | {license_of(about)} | <{home_of(name, about)}> |"


def make_page() -> str:
    parts = [HEAD]
    for section, names in read_names().items():
        if not names: continue
        rows = "\n".join(row(name) for name in names)
        parts.append(f"## {SECTIONS[section]}\n\n| library | license | home page |\n|---|---|---|\n"
                     f"{rows}\n")
    return "\n".join(parts)


def listed_names(page: str) -> list[str]:
    "The names in the tables of a page"
    return [name for name in re.findall(r"^\| (\S+) \|", page, re.M) if name != "library"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare the names")
    if not parser.parse_args().check:
        PAGE.write_text(make_page(), encoding="utf-8")
        return
    listed = listed_names(PAGE.read_text(encoding="utf-8"))
    wanted = [name for names in read_names().values() for name in names]
    if listed == wanted: return
    differ = ", ".join(sorted({*listed} ^ {*wanted})) or "the order"
    sys.exit(f"{PAGE.name} is not up to date ({differ}): python tools/licences.py")


if __name__ == "__main__": main()
