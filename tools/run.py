"""Run notebooks in place and save them as they are committed: clean, without live widgets.

    python tools/run.py 60_spiral 61_numbers

Cells that read MNIST or `pokemon_raw` need `DENOISING_DIFFUSION_DATA`. Cells flagged `slow` or
`cuda` are left as they are. A live widget needs a kernel, so what it shows is not saved. Pictures
are saved with a palette, which takes a third of the space.
"""
import base64
import io
from pathlib import Path

import nbformat
from fastcore.script import Param, call_parse
from nbclient import NotebookClient
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from PIL import Image

WIDGET = "application/vnd.jupyter.widget-view+json"


def without_widgets(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    "`nb` without what live widgets showed, and without their state"
    nb.metadata.pop("widgets", None)
    for cell in (cell for cell in nb.cells if cell.cell_type == "code"):
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return nb


def skip_flagged(nb: nbformat.NotebookNode, flags: tuple[str, ...] = ("slow", "cuda")) -> None:
    "Tag the cells that begin with one of `flags`, so that they are not run; `nbdev_clean` untags"
    heads = tuple(f"#| {flag}" for flag in flags)
    for cell in nb.cells:
        if cell.source.startswith(heads): cell.metadata["tags"] = ["skip-execution"]


def with_palette(png: str, colors: int = 128) -> str:
    "A PNG file in base64 with at most so many colors, or as it is where that isn't smaller"
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode in ("1", "L", "P"): return png
    buffer, opaque = io.BytesIO(), Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    reduced = opaque.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    reduced.save(buffer, "png", optimize=True)
    smaller = base64.b64encode(buffer.getvalue()).decode()
    return smaller if len(smaller) < len(png) else png


def with_small_pictures(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    "`nb` with its pictures `with_palette`"
    for cell in (cell for cell in nb.cells if cell.cell_type == "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data: data["image/png"] = with_palette(data["image/png"])
    return nb


def run(path: Path, timeout: int) -> None:
    "Run one notebook, and write it"
    nb = nbformat.read(path, as_version=4)
    skip_flagged(nb)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(nb, timeout=timeout, kernel_name="python3", resources=resources)
    client.execute()
    nbformat.write(with_small_pictures(without_widgets(nb)), path)
    nbdev_clean(fname=str(path))


@call_parse
def main(
    names: Param("notebooks, such as 60_spiral", str, nargs="+"),
    timeout: int = 900,  # seconds that a cell may take
):
    "Run notebooks in place and save them as they are committed"
    for name in names:
        run(get_config().nbs_path/f"{name.removesuffix('.ipynb')}.ipynb", timeout)
        print(name, flush=True)
