"""Measure the shipped digits: every number and picture of a model in nbs/31_numbers.ipynb.

    python tools/measures.py                        # all there is to measure: hours on two cores, minutes on a GPU
    python tools/measures.py --only numbers_guided  # what has this in its name

A measure goes to nbs/results/numbers.json as soon as it is there, its pictures lie beside it, and what is there is not
measured again; two of these commands, with another `--only` each, can share the work. MNIST is read from the folder that
`DENOISING_DIFFUSION_DATA` names.
"""
import argparse
import json
import warnings
from pathlib import Path

import torch

from denoising_diffusion import fld, image_grid, load_mnist, split_validation
from denoising_diffusion.cli import draw_digits, with_eta
from denoising_diffusion.data import write_file
from denoising_diffusion.frechet import load_judge, report
from denoising_diffusion.pretrained import pretrained_names
from denoising_diffusion.training import to_floats

RESULTS = Path(__file__).resolve().parent.parent/"nbs"/"results"
JUDGES = "mnist-1", "mnist-1-check"  # the second one takes part in no choice
SCALE, SWEEP = 1.25, dict(eta=0.5, power=0.7)  # of guidance; and how the sweep over scales is drawn
SHOWN = "numbers_guided"  # the row whose digits are held beside real ones
SCALES = 1, 1.25, 1.5, 2, 3, 5, 10
STEPS, WAYS = (5, 10, 20, 50), ((0.0, 1.0), (1.0, 1.0), (1.0, 0.7))  # ways: η, and the power by which the times are spread


def model(source: str, n: int = 10_000, *, sampler: str = "ddim", steps: int = 20, eta: float = 1.0, guidance: float = 1.0,
          power: float = 1.0, half: bool = True) -> dict:
    "What to draw, in the words of `ddpm_fld`; in half precision if nothing else is said, which one measure holds against full"
    return dict(source=source, n=n, guidance=guidance, steps=steps, sampler=sampler, eta=eta if sampler in with_eta else 0.0,
                power=power, seed=0, half=half)


def few_steps() -> dict:
    "Every sampler with 5, 10 and 20 evaluations of the network, more of the steps at the noisy end; Heun takes one evaluation less"
    rules = [("DDIM", "ddim", 0.0), ("DDIM", "ddim", 1.0), ("DPM-Solver++", "dpm", 0.0), ("DPM-Solver++", "dpm", 1.0),
             ("UniPC", "unipc", 0.0), ("UniPC", "unipc", 1.0), ("Heun", "heun", 0.0)]
    found = {f"few: {name}, η = {eta:g}, {n} steps": model("numbers", 2_000, sampler=sampler, steps=(n + 1) // 2 if sampler == "heun" else n,
                                                         eta=eta, power=0.5) for name, sampler, eta in rules for n in (5, 10, 20)}
    guided = {f"few: guided, {name}, η = 0.5, {n} steps": model("numbers_guided", 2_000, sampler=sampler, steps=n, eta=0.5, power=0.6, guidance=SCALE)
              for name, sampler in (("DDIM", "ddim"), ("UniPC", "unipc")) for n in (5, 10, 20)}
    return found | guided


def measures() -> dict:
    "All there is to measure, by name: a table of 10,000 digits each, then sweeps of 2,000"
    table = {f"real: {kind}": dict(source=kind) for kind in ("test", "training", "noise")}
    table["numbers_guided"] = model("numbers_guided", sampler="unipc", steps=10, eta=0.5, power=0.6, guidance=SCALE)
    table["numbers, DDIM 20"] = model("numbers", power=0.7)
    table["numbers"] = model("numbers", sampler="ddpm", steps=100)
    table["numbers_no_attention"] = model("numbers_no_attention", sampler="ddpm", steps=100)
    table["numbers, UniPC 10"] = model("numbers", sampler="unipc", steps=10, power=0.5)
    table["numbers_guided, DDPM 100"] = model("numbers_guided", sampler="ddpm", steps=100, guidance=SCALE)
    scales = {f"numbers_guided, scale {w:g}": model("numbers_guided", 2_000, guidance=w, **SWEEP) for w in SCALES}
    steps = {f"numbers, {n} steps, η = {eta:g}, power {power:g}": model("numbers", 2_000, steps=n, eta=eta, power=power)
             for n in STEPS for eta, power in WAYS}
    return table | scales | steps | few_steps() | {
        "numbers, 100 steps": model("numbers", 2_000, sampler="ddpm", steps=100),
        "numbers, DDIM 20, full precision": model("numbers", 2_000, power=0.7, half=False)}


def real_digits(kind: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    "10,000 pictures that nothing drew, and their labels"
    if kind == "test": return load_mnist("test")
    if kind == "noise": return torch.randn(10_000, 1, 28, 28, generator=torch.Generator().manual_seed(0)), None
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(1))[:10_000]
    return tuple(part[order] for part in load_mnist("train"))


def judged(images: torch.Tensor, labels: torch.Tensor | None) -> dict:
    "What the judges say of pictures"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 2,000 are few
        found = dict(fld={judge: fld(images, judge) for judge in JUDGES})
    top = load_judge(JUDGES[0]).see(images)[1].max(1)
    found |= dict(read=(top.indices + 1).bincount(minlength=11)[1:].tolist(),  # how often each label was read
                  certainty=top.values.histc(20, 0, 1).long().tolist())  # 20 bins of the highest probability
    if labels is not None: found |= {k: v.tolist() if k == "confusion" else v for k, v in report(images, labels, JUDGES[0]).items()}
    return found


def compared(images: torch.Tensor, labels: torch.Tensor) -> dict:
    "Drawn digits beside the real ones: two pictures, and how near they come to training digits"
    train, held_out = split_validation(*load_mnist("train"), fraction=0.1, seed=0)
    real = to_floats(train[0])
    means = [torch.stack([x[kind == k].mean(0) for k in range(1, 11)]) for x, kind in ((images, labels), (real, train[1]))]
    nearest = lambda x: torch.cat([torch.cdist(part.flatten(1), real.flatten(1)).min(1, keepdim=True)[0] for part in x.split(250)])[:, 0]
    closest = real[torch.cdist(images[:10].flatten(1), real.flatten(1)).argmin(1)]
    image_grid(torch.cat(means), 10, scale=2).save(RESULTS/"means.png")
    image_grid(torch.cat([images[:10], closest]), 10, scale=2).save(RESULTS/"nearest.png")
    drawn, others = nearest(images[:2_000]), nearest(to_floats(held_out[0][:2_000]))
    return dict(nearest=dict(drawn=drawn.median().item(), held_out=others.median().item(),
                             copies=(drawn < others.quantile(0.01)).double().mean().item()))  # nearer than the nearest 1% held out


def measure(name: str, options: dict) -> dict:
    "One entry of the results"
    if name.startswith("real: "):
        images, labels = real_digits(options["source"])
        return options | dict(n=len(images), **judged(images, labels))
    images, labels, how = draw_digits(options["source"], load_judge(JUDGES[0]), *(options[k] for k in ("n", "guidance", "steps", "sampler", "eta", "seed", "half")),
                                      device=None, progress=True, power=options["power"])
    found = dict(source=options["source"], n=len(images), **how, **judged(images, labels))
    if options["n"] < 10_000: return found
    image_grid(images[:64], 8, scale=2).save(RESULTS/f"{name.replace(', ', '_').replace(' ', '_').lower()}.png")
    return found | compared(images, labels) if name == SHOWN else found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    only, path = parser.parse_args().only, RESULTS/"numbers.json"
    RESULTS.mkdir(exist_ok=True)
    kept = lambda: json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, options in measures().items():
        if only not in name or name in kept(): continue
        if not name.startswith("real: ") and options["source"] not in pretrained_names():
            print(f"{name}: the package has no such weights")
            continue
        print(name, flush=True)
        found = measure(name, options)
        results = kept() | {name: found}
        in_order = {k: results[k] for k in [*measures(), *results] if k in results}
        lines = ",\n".join(f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}" for k, v in in_order.items())
        write_file(path, lambda p: p.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8"))
        print({k: found.get(k) for k in ("fld", "accuracy")}, flush=True)


if __name__ == "__main__": main()
