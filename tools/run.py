"""Run notebooks from top to bottom, in place, and save them as they are committed: clean, and without live widgets.

    python tools/run.py 30_spiral 31_numbers

Cells that read MNIST or `pokemon_raw` need `DENOISING_DIFFUSION_DATA`. Cells flagged `slow` or `cuda` are left as they are. A live
widget needs a kernel, so what it shows is not saved.
"""
import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbdev.clean import nbdev_clean
from nbdev.config import get_config

WIDGET = "application/vnd.jupyter.widget-view+json"


def without_widgets(nb):
    "`nb` without what live widgets showed, and without their state"
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        if cell.cell_type == "code": cell.outputs = [o for o in cell.outputs
                                                     if WIDGET not in o.get("data", {})]
    return nb


def skip_flagged(nb, flags: tuple = ("slow", "cuda")) -> None:
    "Mark the cells that begin with one of `flags`, so that they are not run; the mark goes when the notebook is cleaned"
    for cell in nb.cells:
        if cell.source.startswith(tuple(f"#| {flag}"
                                        for flag in flags)): cell.metadata["tags"] = ["skip-execution"]


def run(path: Path, timeout: int) -> None:
    "Run one notebook, and write it"
    nb = nbformat.read(path, as_version=4)
    skip_flagged(nb)
    NotebookClient(nb, timeout=timeout, kernel_name="python3",
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    nbformat.write(without_widgets(nb), path)
    nbdev_clean(fname=str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", help="of notebooks, such as 30_spiral")
    parser.add_argument("--timeout", type=int, default=900, help="seconds that a cell may take")
    args = parser.parse_args()
    for name in args.names:
        run(get_config().nbs_path/f"{name.removesuffix('.ipynb')}.ipynb", args.timeout)
        print(name, flush=True)


if __name__ == "__main__": main()
