"""Checksums in the package's files of weights.

    python tools/sums.py          # add them to files of older versions; tensors and cards are kept
    python tools/sums.py --check  # names the files without one, exit status 1"""
import json
import sys
from pathlib import Path

from denoising_diffusion.files import _join, _split, weights_folder, write_file

CHECKSUMS = {"sha256", "sha256_card", "format"}


def with_sums(content: bytes) -> bytes:
    "The same tensors and card with their checksums; the bytes of the tensors are not touched"
    header, data = _split(content)
    (kind,) = {*header["__metadata__"]} - CHECKSUMS
    return _join(header, data, kind, json.loads(header["__metadata__"][kind]))


def files_without(folder: Path = weights_folder) -> list[Path]:
    "The files whose checksums are missing"
    paths = sorted(folder.rglob("*.safetensors"))
    return [path for path in paths if "sha256" not in _split(path.read_bytes())[0]["__metadata__"]]


def main(*arguments: str) -> int:
    "Run the program; returns the exit status"
    missing = files_without()
    for path in missing:
        print(path.relative_to(weights_folder))
        if "--check" in arguments: continue
        content = with_sums(path.read_bytes())
        write_file(path, lambda temporary, content=content: temporary.write_bytes(content))
    return int("--check" in arguments and bool(missing))


if __name__ == "__main__": sys.exit(main(*sys.argv[1:]))
