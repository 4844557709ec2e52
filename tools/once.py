"""Make a GIF play once and stop at its last frame, as an image on a page should.

    python tools/once.py nbs/images/digits.gif
"""
from pathlib import Path

from fastcore.script import Param, call_parse

LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"  # how often, in two bytes, and a 0 follow


def play_once(gif: bytes) -> bytes:
    "`gif` without the extension that repeats it"
    start = gif.find(LOOP)
    return gif if start < 0 else gif[:start] + gif[start + len(LOOP) + 3:]


@call_parse
def main(path: Param("a file", Path)):
    "Rewrite a GIF so that it plays once"
    path.write_bytes(play_once(path.read_bytes()))
