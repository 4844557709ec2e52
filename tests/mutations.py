"""Mistakes planted in the code, each of which a test without data must catch.

    python tests/mutations.py [word in the name …]

For each mistake the repository is copied, the exported cell and its module are changed, and the
notebook named with it is tested, or another one that uses the cell. Each notebook must pass first
without a mistake. A mistake that no test catches is printed, and the exit status is 1. It takes
some minutes."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "denoising_diffusion"


class Mutation(NamedTuple):
    "A mistake: in an exported cell of a notebook, `old` becomes `new`"
    name: str
    notebook: str
    old: str
    new: str
    place: str = ""  # what the cell must hold as well, where `old` alone stands in several
    tested: str = ""  # the notebook whose tests must catch it, if not that of the cell


MUTATIONS = [
    Mutation("scores: precision and recall swapped", "40_metrics",
             "precision=right / read, recall=right / asked",
             "precision=right / asked, recall=right / read"),
    Mutation("scores: accuracy is a product", "40_metrics",
             "(right.sum() / asked.sum())", "(right.sum() * asked.sum())"),
    Mutation("scores: f1 without its factor", "40_metrics", "f1 = 2 * right", "f1 = right"),
    Mutation("report: scores with precision and recall swapped", "40_metrics",
             "precision=right / read, recall=right / asked",
             "precision=right / asked, recall=right / read", tested="41_fld"),
    Mutation("report: scores whose accuracy is a product", "40_metrics",
             "(right.sum() / asked.sum())", "(right.sum() * asked.sum())", tested="41_fld"),
    Mutation("report: a confusion matrix on its side", "41_fld",
             "confusion_matrix(labels, read, num_classes)",
             "confusion_matrix(read, labels, num_classes)"),
    Mutation("report: precision and recall swapped", "41_fld",
             "return dict(scores(confusion), confusion=confusion)",
             """found = scores(confusion)
    found["precision"], found["recall"] = found["recall"], found["precision"]
    return dict(found, confusion=confusion)"""),
    Mutation("report: accuracy is a number of images", "41_fld",
             "return dict(scores(confusion), confusion=confusion)",
             """accuracy = float(confusion.diagonal().sum() * confusion.sum())
    return dict(scores(confusion), accuracy=accuracy, confusion=confusion)"""),
    Mutation("report: labels counted from 0", "41_fld",
             "reference.probabilities(features).argmax(1) + 1",
             "reference.probabilities(features).argmax(1).clamp(min=1)", "def report("),
    Mutation("reverse_process: clip_denoised=False", "04_sampling",
             "clip_denoised: bool = True", "clip_denoised: bool = False", "def reverse_process("),
    Mutation("sample_step: clip_denoised=False", "04_sampling",
             "clip_denoised: bool = True", "clip_denoised: bool = False", "def sample_step("),
    Mutation("Step: x with the estimate of the step before", "04_sampling",
             """
    for t, s in _with_bar([*pairwise(times)], progress):
        x_start = predict(x, t)
        if s < t: yield Step(t, x, x_start)
""", """
    x_start = x
    for t, s in _with_bar([*pairwise(times)], progress):
        before, x_start = x_start, predict(x, t)
        if s < t: yield Step(t, x, before)
"""),
    Mutation("SeededNoise: start is ignored", "04_sampling",
             'self.start = _whole("start", start, least=0)', "self.start = 0"),
    Mutation("SeededNoise: all blocks are alike", "04_sampling",
             "np.random.SeedSequence((self.seed, block))", "np.random.SeedSequence(self.seed)"),
    Mutation("ddim_rule: eta", "05_ddim", "eta: float = 0.0", "eta: float = 0.5", "def ddim_rule("),
    Mutation("ddim_sample: eta", "05_ddim", "eta: float = 0.0", "eta: float = 0.5",
             "def ddim_sample("),
    Mutation("ddim_sample_loop: eta", "05_ddim",
             "eta: float = 0.0", "eta: float = 0.5", "def ddim_sample_loop("),
    Mutation("dpm_solver_rule: eta", "06_solvers",
             "eta: float = 0.0", "eta: float = 0.5", "def dpm_solver_rule("),
    Mutation("unipc_rule: eta", "06_solvers",
             "eta: float = 0.0", "eta: float = 0.5", "def unipc_rule("),
    Mutation("sampler_rule: eta", "07_samplers",
             "eta: float = 0.0", "eta: float = 0.5", "def sampler_rule("),
    Mutation("resolve_sampling: a given rule keeps the card's steps", "07_samplers",
             'sampling_timesteps = recommended.get("steps")',
             'sampling_timesteps = card.get("steps")'),
    Mutation("resolve_sampling: a given rule keeps the card's eta", "07_samplers",
             'eta = recommended.get("eta")', 'eta = card.get("eta")'),
    Mutation("resolve_sampling: a given rule keeps the card's spacing", "07_samplers",
             'spacing = recommended.get("spacing")', 'spacing = card.get("spacing")'),
    Mutation("resolve_sampling: a given rule drops the card's guidance", "07_samplers",
             'else card.get("guidance_scale", 1.0)',
             'else recommended.get("guidance_scale", 1.0)'),
    Mutation("resolve_sampling: guidance without labels", "07_samplers",
             "guidance_scale = 1.0 if labels is None else", "guidance_scale ="),
    Mutation("sample: each chunk has the same noise", "07_samplers",
             "SeededNoise(seed, part.start)", "SeededNoise(seed)"),
    Mutation("sample: one is too few", "07_samplers",
             "check_counts(n=n, chunk=chunk)", "check_counts(n=n - 1, chunk=chunk)"),
    Mutation("randomly_set_unconditioned: prob_uncond", "03_guidance",
             "prob_uncond: float = 0.2", "prob_uncond: float = 0.3"),
    Mutation("train: prob_uncond", "31_training",
             "prob_uncond: float = 0.2", "prob_uncond: float = 0.3"),
    Mutation("autoguide: scale", "03_guidance",
             "scale: float = 1.5", "scale: float = 2.0", "def autoguide("),
    Mutation("guide: scale", "03_guidance", "scale: float = 1.0", "scale: float = 2.0",
             "def guide("),
    Mutation("load_pretrained: train mode", "33_pretrained",
             "return diffusion.eval()", "return diffusion"),
    Mutation("load_pretrained: an import without trust", "26_networks",
             "if not trust:", "if False:", "def _find_class("),
    Mutation("load_pretrained: any class is a network", "26_networks",
             "isinstance(cls, type) and issubclass(cls, nn.Module)", "isinstance(cls, type)"),
    Mutation("save_pretrained: options of another network", "33_pretrained",
             "if _is_outside(about): _check_rebuilt(", "if False: _check_rebuilt("),
    Mutation("ConvEmbed: the sign of the embedding", "10_blocks",
             "h + shift[", "h - shift[", "class ConvEmbed("),
    Mutation("UNet: side_multiple", "12_unet",
             "2 ** (len(channel_multipliers) - 1)", "2 ** len(channel_multipliers)"),
    Mutation("linear schedule: T = 1", "01_schedules", "highest >= 1", "highest > 1"),
    Mutation("log-SNR schedule: T = 1", "01_schedules",
             "num_timesteps > 1 and start <= end", "start <= end"),
]


def _is_place(cell: dict, mutation: Mutation) -> bool:
    source = "".join(cell["source"])
    exported = cell["cell_type"] == "code" and source.startswith("#| export")
    return exported and mutation.old in source and mutation.place in source


def mutate_notebook(path: Path, mutation: Mutation) -> str:
    "Change the one exported cell that the mutation means; returns the cell as it was"
    nb = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in nb["cells"] if _is_place(cell, mutation)]
    if len(cells) != 1:
        raise SystemExit(f"{mutation.name}: {len(cells)} exported cells hold {mutation.old!r}")
    before = "".join(cells[0]["source"])
    cells[0]["source"] = before.replace(mutation.old, mutation.new, 1)
    path.write_text(json.dumps(nb), encoding="utf-8")
    return before


def mutate_module(package: Path, mutation: Mutation, cell: str) -> None:
    "Change the same piece of the module that was exported from the cell"
    piece = cell.split("\n", 1)[1].strip()
    paths = [p for p in package.glob("*.py") if piece in p.read_text(encoding="utf-8")]
    if len(paths) != 1:
        raise SystemExit(f"{mutation.name}: the cell stands in {len(paths)} modules")
    text = paths[0].read_text(encoding="utf-8")
    changed = piece.replace(mutation.old, mutation.new, 1)
    paths[0].write_text(text.replace(piece, changed), encoding="utf-8")


def copy_repository(folder: Path) -> None:
    "The package and the notebooks, without their history"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyi")
    for name in (PACKAGE, "nbs"):
        shutil.copytree(ROOT/name, folder/name, ignore=ignore, symlinks=True)
    for name in ("settings.ini", "README.md", "_quarto.yml"): shutil.copy(ROOT/name, folder/name)


def tested_notebook(mutation: Mutation) -> str: return mutation.tested or mutation.notebook


def passes(notebook: str, mutation: Mutation | None = None) -> bool:
    "Whether the tests of a notebook pass, in a copy with the mistake in it"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_repository(folder)
        path = folder/"nbs"/f"{notebook}.ipynb"
        if mutation:
            changed = folder/"nbs"/f"{mutation.notebook}.ipynb"
            mutate_module(folder/PACKAGE, mutation, mutate_notebook(changed, mutation))
        settings = dict(PYTHONPATH=str(folder), MPLBACKEND="agg", OMP_NUM_THREADS="1")
        environment = os.environ | settings
        environment.pop("DENOISING_DIFFUSION_DATA", None)
        command = ["nbdev_test", "--path", str(path), "--do_print"]
        done = subprocess.run(command, cwd=folder/"nbs", env=environment, capture_output=True)
        return done.returncode == 0


def main(words: list):
    chosen = [m for m in MUTATIONS if all(word in m.name for word in words)]
    for notebook in dict.fromkeys(map(tested_notebook, chosen)):
        if not passes(notebook): raise SystemExit(f"{notebook} fails without any mistake in it")
    survived = []
    for mutation in chosen:
        survives = passes(tested_notebook(mutation), mutation)
        print("SURVIVED" if survives else "caught  ", mutation.name, flush=True)
        if survives: survived.append(mutation.name)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} caught")
    if survived: raise SystemExit(1)


if __name__ == "__main__": main(sys.argv[1:])
