"""Runs the tests with the oldest version that settings.ini allows of each requirement.

    python tools/oldest.py                     # in a new environment, removed afterwards
    python tools/oldest.py --env FOLDER        # in this one, made if it is missing
    python tools/oldest.py --show              # the versions alone, without a test

A bound such as `matplotlib>=3.8` is a promise. This program keeps it honest: it installs matplotlib
3.8 itself, with the oldest of all the others and the oldest Python there is from `min_python` on,
and runs the README's second command, which runs all tests. It takes half an hour, and a download of
PyTorch. What a pin of the `dev` extra hides, such as the fastcore of nbdev, is installed last. On a
failure, raise the bound to the first version that passes, or mend the code."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = "requirements", "dev_requirements", "bench_requirements"  # oldest wins, first list first


def read_settings() -> dict[str, str]:
    "The entries of settings.ini"
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return dict(config["DEFAULT"])


def oldest_versions(settings: dict[str, str], lists: tuple[str, ...] = LISTS) -> dict[str, str]:
    "The oldest version allowed of each requirement, by name; a pin is its own oldest version"
    oldest: dict[str, str] = {}
    for requirement in " ".join(settings[name] for name in lists).split():
        name, version = re.split(r"(?:\[.*\])?[>=]=", requirement, maxsplit=1)
        oldest.setdefault(name, version)
    return oldest


def split_pins(settings: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    "The oldest versions to resolve with, and those that a pin of the dev extra hides"
    oldest, pins = oldest_versions(settings), {}
    for requirement in settings["dev_requirements"].split():
        name, pinned, version = requirement.partition("==")
        if pinned: pins[name] = version
    hidden = {name: oldest[name] for name, pin in pins.items() if oldest[name] != pin}
    return oldest | pins, hidden


def find_python(least: str) -> str:
    "The oldest Python of at least this version that can be called by name here"
    first = int(least.split(".")[1])
    for minor in range(first, first + 10):
        path = shutil.which(f"python3.{minor}")
        if path and not subprocess.run([path, "--version"], capture_output=True).returncode:
            return path
    return sys.executable


def run(*words: str | Path, **environment: str) -> None:
    "Run a program; its failure ends this one"
    done = subprocess.run(words, cwd=ROOT, env=os.environ | environment)
    if done.returncode: sys.exit(f"FAILED ({done.returncode}): {' '.join(map(str, words))}")


def install(python: Path, folder: Path) -> None:
    "Install the package with its dev extra, in the oldest versions"
    constraints, hidden = split_pins(read_settings())
    lines = [f"{name}=={version}\n" for name, version in constraints.items()]
    (folder/"oldest.txt").write_text("".join(lines), encoding="utf-8")
    pip = python, "-m", "pip", "install", "--quiet", "-c", folder/"oldest.txt"
    run(*pip, "pip", "wheel")
    run(*pip, f"torch=={constraints['torch']}", f"numpy=={constraints['numpy']}")
    run(*pip, "-e", ".[dev]")
    for name, version in hidden.items(): run(*pip[:5], "--no-deps", f"{name}=={version}")


def test(python: Path) -> None:
    "Run the tests of the README's second command, and print what they ran with"
    programs = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    names = "|".join(oldest_versions(read_settings()))
    run("sh", "-c", f"python --version; pip list 2>/dev/null | grep -iE '^({names}) '",
        PATH=programs)
    quiet = dict(PATH=programs, OMP_NUM_THREADS="1", MPLBACKEND="agg")
    commands = ["nbdev_test"], ["pytest", "-q"]
    codes = [subprocess.run(words, cwd=ROOT, env=os.environ | quiet).returncode
             for words in commands]
    if any(codes): sys.exit("FAILED: tests with the oldest versions")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--env", type=Path, help="the folder of the environment")
    parser.add_argument("--show", action="store_true", help="print the versions and end")
    options = parser.parse_args()
    settings = read_settings()
    python = find_python(settings["min_python"])
    if options.show:
        print(python, *(f"{n}=={v}" for n, v in oldest_versions(settings).items()), sep="\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.env or Path(scratch)/"env"
        if not (folder/"bin").exists(): run(python, "-m", "venv", folder)
        install(folder.resolve()/"bin"/"python", Path(scratch))
        test(folder.resolve()/"bin"/"python")
    print("all tests pass with the oldest versions")


if __name__ == "__main__": main()
