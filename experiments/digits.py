"""Measure the shipped digits: every number and image of a model in nbs/61_numbers.ipynb.

    python experiments/digits.py                        # all: hours on two cores, minutes on a GPU
    python experiments/digits.py --only numbers_guided  # what has this in its name
    python experiments/digits.py --table                # the table of README, of what was measured

A measure goes to nbs/results/numbers.json as soon as it is there, with its images beside it, and is
not measured again; two of these commands, with another `--only` each, can share the work. MNIST is
read from the folder that `DENOISING_DIFFUSION_DATA` names.

A row without `seconds` is an earlier one, drawn by the same options with other noise, and mostly
in bfloat16 (`bf16`). To measure it again, delete it.
"""
import time
import warnings
from typing import NamedTuple

import torch
from fastcore.script import call_parse
from results import RESULTS, add_result, read_results
from torch import Tensor

from denoising_diffusion import fld, image_grid, load_mnist, split_validation
from denoising_diffusion.outputs import _SamplingOptions
from denoising_diffusion.data import to_floats
from denoising_diffusion.frechet import load_reference, report
from denoising_diffusion.measuring import _sample_digits
from denoising_diffusion.pretrained import pretrained_names
from denoising_diffusion.samplers import sampler_rule, samplers
from denoising_diffusion.sampling import evaluations, time_grid

REFERENCES = "mnist-1", "mnist-1-check"  # nothing was chosen by the second one
SCALES = 1, 1.25, 1.5, 2, 3, 5, 10
STEPS = 5, 10, 20, 50
WAYS = (0.0, 1.0), (1.0, 1.0), (1.0, 0.7)  # η and spacing
SHOWN = "numbers_guided"  # the measure whose digits are compared with real ones


class Measure(NamedTuple):
    "What is measured: samples of a model, or digits that no model made"
    source: str  # a model, or test, training or noise
    n: int = 10_000
    options: _SamplingOptions | None = None  # None for digits that no model made


def model(source: str, n: int = 10_000, **options: object) -> Measure:
    "Samples of a model; without options as its card recommends"
    return Measure(source, n, _SamplingOptions(**options))


def ddim(source: str, steps: int = 20, **options: object) -> Measure:
    "2,000 samples by DDIM"
    return model(source, 2_000, sampler="ddim", steps=steps, **options)


def most_steps(sampler: str, count: int, eta: float | None = None) -> int:
    "How many steps a sampler takes with at most `count` network evaluations"
    rule = sampler_rule(sampler, eta)
    def needs(steps: int) -> int: return evaluations(rule, time_grid(100, steps))
    return max(steps for steps in range(1, count + 1) if needs(steps) <= count)


def few_steps() -> dict[str, Measure]:
    "Every sampler with 5, 10 and 20 network evaluations, more of the steps at the noisy end"
    ways = [(name, eta) for name in ("ddim", "dpm", "unipc") for eta in (0.0, 1.0)]
    found = {}
    for name, eta in [*ways, ("heun", None)]:
        for n in (5, 10, 20):
            steps = most_steps(name, n, eta)
            measure = model("numbers", 2_000, sampler=name, steps=steps, eta=eta, spacing=0.5)
            found[f"few: {samplers[name].title}, η = {eta or 0:g}, {n} steps"] = measure
    guided = dict(eta=0.5, spacing=0.6)
    for name in ("ddim", "unipc"):
        for n in (5, 10, 20):
            measure = model("numbers_guided", 2_000, sampler=name, steps=n, **guided)
            found[f"few: guided, {samplers[name].title}, η = 0.5, {n} steps"] = measure
    return found


def tables() -> dict[str, Measure]:
    "The rows of 10,000 digits: each model as its card recommends, and by the papers' samplers"
    real = {f"real: {kind}": Measure(kind) for kind in ("test", "training", "noise")}
    names = "numbers_guided", "numbers", "numbers_no_attention"
    twenty = dict(sampler="ddim", steps=20, eta=1.0, spacing=0.7)
    return real | {name: model(name) for name in names} | {
        "numbers, DDIM 20": model("numbers", **twenty),
        "numbers, DDPM 100": model("numbers", sampler="ddpm"),
        "numbers_guided, DDPM 100": model("numbers_guided", sampler="ddpm")}


def sweeps() -> dict[str, Measure]:
    "The guidance scales and the numbers of steps, with 2,000 digits each"
    scales = {f"numbers_guided, scale {scale:g}":
              ddim("numbers_guided", guidance=scale, eta=0.5, spacing=0.7) for scale in SCALES}
    steps = {f"numbers, {n} steps, η = {eta:g}, spacing {spacing:g}":
             ddim("numbers", n, eta=eta, spacing=spacing)
             for n in STEPS for eta, spacing in WAYS}
    return scales | steps


def measures() -> dict[str, Measure]:
    "All measures by name"
    references = {
        "numbers, 100 steps": model("numbers", 2_000, sampler="ddpm"),
        "numbers, DDIM 20, bfloat16": ddim("numbers", eta=1.0, spacing=0.7, bf16=True)}
    return tables() | sweeps() | few_steps() | references


def real_digits(kind: str) -> tuple[Tensor, Tensor | None]:
    "10,000 test digits, training digits, or images of noise, and their labels"
    if kind == "test": return load_mnist("test")
    if kind == "noise":
        generator = torch.Generator().manual_seed(0)
        return torch.randn(10_000, 1, 28, 28, generator=generator), None
    images, labels = load_mnist("train")
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(1))[:10_000]
    return images[order], labels[order]


def by_references(images: Tensor, labels: Tensor | None) -> dict:
    "Distances to both references, and what the first one's LeNet reads"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 2,000 are few
        found = dict(fld={name: fld(images, name) for name in REFERENCES})
    reference = load_reference(REFERENCES[0])
    top = reference.probabilities(reference.features(images)).max(1)
    found["read"] = (top.indices + 1).bincount(minlength=11)[1:].tolist()  # how often each label
    found["certainty"] = top.values.histc(20, 0, 1).long().tolist()  # 20 bins of the highest one
    if labels is None: return found
    read = report(images, labels, reference)
    return found | read | dict(confusion=read["confusion"].tolist())


def nearest(images: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    "The distance of each image to the nearest of `others`, and which of them it is"
    parts = [torch.cdist(part.flatten(1), others.flatten(1)).min(1) for part in images.split(250)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def class_means(images: Tensor, labels: Tensor) -> Tensor:  # (10, 1, 28, 28)
    "The mean image of each label"
    return torch.stack([images[labels == label].mean(0) for label in range(1, 11)])


def compared(images: Tensor, labels: Tensor) -> dict:
    "Samples beside the real digits: two images, and how near they come to training digits"
    train, held_out = split_validation(*load_mnist("train"), fraction=0.1, seed=0)
    real = to_floats(train[0])
    means = torch.cat([class_means(images, labels), class_means(real, train[1])])
    image_grid(means, 10, scale=2).save(RESULTS/"means.png")
    closest = real[nearest(images[:10], real)[1]]
    image_grid(torch.cat([images[:10], closest]), 10, scale=2).save(RESULTS/"nearest.png")
    drawn, _ = nearest(images[:2_000], real)
    others, _ = nearest(to_floats(held_out[0][:2_000]), real)
    copies = drawn < others.quantile(0.01)  # nearer than the nearest 1% held out
    medians = dict(drawn=drawn.median().item(), held_out=others.median().item())
    return dict(nearest=dict(medians, copies=copies.double().mean().item()))


def image_name(name: str) -> str:
    "The file for the first images of a measure"
    return f"{name.replace(', ', '_').replace(' ', '_').lower()}.png"


def run(name: str, measure: Measure) -> dict:
    "One entry of the results"
    source, n, options = measure
    if options is None:
        images, labels = real_digits(source)
        return dict(source=source, n=len(images)) | by_references(images, labels)
    start = time.perf_counter()
    images, labels, record = _sample_digits(source, n, load_reference(REFERENCES[0]), options)
    record["seconds"] = round(time.perf_counter() - start, 1)
    if labels is not None: labels = torch.as_tensor(labels)
    found = dict(source=source, n=len(images)) | record | by_references(images, labels)
    if n < 10_000: return found
    image_grid(images[:64], 8, scale=2).save(RESULTS/image_name(name))
    return found | compared(images, labels) if name == SHOWN else found


def command(measure: Measure) -> str:
    "The command that draws these samples and measures them"
    given = {name: value for name, value in vars(measure.options).items()
             if value is not None and value is not False and (name, value) != ("seed", 0)}
    options = [f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"
               for name, value in given.items()]
    return " ".join(["ddpm_fld", measure.source, *options])


def table_row(measure: Measure, found: dict) -> str:
    "One row of README's table"
    distances = " | ".join(f"{found['fld'][reference]:.2f}" for reference in REFERENCES)
    read = f"{found['accuracy']:.1%}" if "accuracy" in found else ""
    cost = f"{found['evaluations']} | {found['seconds'] / 60:.0f}"
    return f"| `{command(measure)}` | {distances} | {read} | {cost} |"


def readme_table(results: dict) -> str:
    "README's table of all models, each as its card recommends first"
    head = ["| command | FLD | by the second reference | read as asked | network evaluations | "
            "minutes on two CPU cores |", "|---|---|---|---|---|---|"]
    rows = [table_row(measure, results[name]) for name, measure in tables().items()
            if "seconds" in results.get(name, {})]
    return "\n".join(head + rows)


@call_parse
def main(
    only: str = "",  # measure only what has this in its name
    table: bool = False,  # print the table of README, and measure nothing
):
    "Measure the shipped digits"
    path = RESULTS/"numbers.json"
    if table: return print(readme_table(read_results(path)))
    for name, measure in measures().items():
        if only not in name or name in read_results(path): continue
        if measure.options and measure.source not in pretrained_names():
            print(f"{name}: the package has no such weights")
            continue
        print(name, flush=True)
        found = run(name, measure)
        add_result(path, name, found, order=measures())
        print({key: found.get(key) for key in ("fld", "accuracy")}, flush=True)
