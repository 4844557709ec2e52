"""Train what the Pokémon weights are held against, and measure all of them: every number and picture in nbs/32_pokemon.ipynb.

    python tools/pokemon.py pictures                                          # the pictures, in two folders
    ddpm_train runs/pokemon/train --size 48 --epochs 45 --half --out runs/pokemon-first.safetensors
    ddpm_train runs/pokemon/train --size 48 --epochs 30 --base runs/pokemon-first.safetensors --out runs/pokemon-second.safetensors
    ddpm_train runs/pokemon/train --size 48 --epochs 200 --lr 5e-4 --half --base runs/pokemon-second.safetensors --out runs/pokemon.safetensors
    python tools/pokemon_measures.py trainings                                # the original configuration, and the ablation
    python tools/pokemon_measures.py ship                                     # the weights into the package, in half precision
    python tools/pokemon_measures.py measures                                 # all there is to measure
    python tools/pokemon_measures.py sheet --seed 1                           # 32 drawn and 32 real pictures, to be told apart
    python tools/pokemon_measures.py answers --seed 1 --given DRRD…           # what a judge said of it, D or R for each, row by row

What is found goes to nbs/results/pokemon.json as soon as it is there, and what is there is not found again.
"""
import argparse
import json
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pokemon import RUNS, load_pictures, split_species

from denoising_diffusion import GaussianDiffusion, UNet, autoguide, cosine_beta_schedule, image_grid, load_pretrained, save_pretrained, train
from denoising_diffusion.cli import samplers
from denoising_diffusion.data import write_file
from denoising_diffusion.features import colour_statistics, copy_share, load_encoder, nearest, nearest_panel, picture_distance, precision_recall
from denoising_diffusion.plots import save_image
from denoising_diffusion.pretrained import weights
from denoising_diffusion.sampling import time_grid
from denoising_diffusion.schedules import cumulate_alphas
from denoising_diffusion.solvers import sample
from denoising_diffusion.training import clipped_snr_weights, constant, knows_half, random_flip, read_checkpoint, to_floats

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/"nbs"/"results"
MODEL = RUNS.parent/"pokemon.safetensors"
TRAININGS = {"first": (1, 3, 8, 15, 30, 45), "second": (), "third": (1, 10, 50, 100, 200)}  # and the epochs that are shown of each
NUM = 612  # pictures of each kind that are measured: as many as are held out
BETAS = cosine_beta_schedule(100)
HALF = torch.bfloat16 if knows_half() else None
ORIGINAL = dict(  # of the package that this one re-creates: 16 channels, the noise predicted, a constant rate, nothing averaged
    batch_size=32, lr=1e-3, optimizer=torch.optim.Adam, lr_schedule=constant, ema_decay=None, grad_clip=None)
OURS = dict(batch_size=32, lr=5e-4, augment=random_flip, dtype=HALF)  # of `ddpm_train` for a folder
V_TIMES = dict(time_weights=clipped_snr_weights(BETAS, 5.0))
GUIDANCE = 1.5, 30  # scale, and since when
LITTLE_NOISE = dict(time_weights=V_TIMES["time_weights"] / (1 - cumulate_alphas(BETAS)[1:]))  # an error in x̂_0 counts min(SNR + 1, 5) as well
ABLATION = {  # half as wide and far shorter than the recipe
    "v, min-SNR times": ("v", V_TIMES), "v, all times alike": ("v", {}), "start": ("start", {}),
    "start, little noise more often": ("start", LITTLE_NOISE), "noise": ("noise", {})}


def parts() -> tuple:
    "The training pictures and the held-out ones, uint8 (N, 3, 48, 48)"
    pictures = load_pictures()
    held_out = torch.from_numpy(split_species(pictures.dex_id))
    return pictures.images[~held_out], pictures.images[held_out]


def kept() -> dict:
    path = RESULTS/"pokemon.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep(name: str, found: dict) -> None:
    "Add to the results"
    results = kept() | {name: found}
    lines = ",\n".join(f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}" for k, v in results.items())
    write_file(RESULTS/"pokemon.json", lambda p: p.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8"))
    print(name, {k: v for k, v in found.items() if not isinstance(v, (list, dict))}, flush=True)


def trained(name: str, network: UNet, prediction: str, num_epochs: int, **options) -> GaussianDiffusion:
    "A diffusion trained on the training pictures, from its checkpoint if it is done already"
    diffusion = GaussianDiffusion(BETAS, (3, 48, 48), network, prediction=prediction)
    train(diffusion, parts()[0], num_epochs=num_epochs, seed=0, checkpoint=RUNS/f"{name}.pt", resume=True, checkpoint_steps=200, **options)
    return diffusion


def original() -> GaussianDiffusion:
    "What the original package did: 15 epochs of it"
    torch.manual_seed(0)
    return trained("original", UNet(3, 16, 100), "noise", 15, **ORIGINAL)


def ablated(name: str, epochs: int = 8, channels: int = 24) -> GaussianDiffusion:
    "One change of the recipe"
    torch.manual_seed(0)
    prediction, options = ABLATION[name]
    return trained(name.replace(", ", "_").replace(" ", "_"), UNet(3, channels, 100, patch_size=2), prediction, epochs, **OURS | options)


def draw(diffusion: GaussianDiffusion, sampler: str, steps: int, n: int = NUM, seed: int = 0) -> torch.Tensor:
    "n samples, in half precision where that is quick"
    return sample(diffusion, n, None, seed=seed, chunk=100, dtype=HALF, rule=samplers[sampler](0.0),
                  sampling_timesteps=time_grid(diffusion.num_timesteps, steps))


def judged(images: torch.Tensor, train_pictures: torch.Tensor, held_out: torch.Tensor) -> dict:
    "What the encoder says of pictures, against the held-out ones"
    encoder, real = load_encoder("pokemon-1"), len(held_out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distance = picture_distance(images, held_out, encoder)
    precision, recall = precision_recall(encoder.see(images[:real]), encoder.see(held_out))
    return dict(n=len(images), distance=distance, precision=precision, recall=recall)


def floor() -> dict:
    "As many real training pictures in the place of samples"
    train_pictures, held_out = parts()
    order = torch.randperm(len(train_pictures), generator=torch.Generator().manual_seed(0))[:NUM]
    return judged(train_pictures[order], *parts()) | dict(colours=colour_statistics(held_out))


def noise() -> dict: return judged(torch.randn(NUM, 3, 48, 48, generator=torch.Generator().manual_seed(0)), *parts())


def guided(scale: float, since: int) -> GaussianDiffusion:
    "The trained network, guided away from the weaker one"
    good, weak = load_pretrained(MODEL), load_pretrained("pokemon_weak")
    return GaussianDiffusion(BETAS, (3, 48, 48), autoguide(good.denoise_fn, weak.denoise_fn, scale, since), prediction=good.prediction)


def beside(n: int = 8) -> None:
    "The same noise drawn without guidance and with it, a row each"
    images = [draw(diffusion, "unipc", 25, n=n, seed=3) for diffusion in (load_pretrained(MODEL), guided(*GUIDANCE))]
    image_grid(torch.cat(images), n, scale=2).save(RESULTS/"pokemon_guided.png")


def closely(images: torch.Tensor) -> dict:
    "What else there is to measure: colours, and how near the training pictures are"
    train_pictures, held_out = parts()
    matches, real = nearest(images, train_pictures), nearest(held_out, train_pictures)
    return dict(colours=colour_statistics(images), copies=copy_share(images, train_pictures, held_out),
                nearest={way: dict(drawn=matches[way].distance.median().item(), held_out=real[way].distance.median().item()) for way in matches})


def model(sampler: str, steps: int, full: bool = False) -> dict:
    "The trained network, drawn from in one way; with `full` also the pictures of it"
    images = draw(load_pretrained(MODEL), sampler, steps)
    found = dict(sampler=sampler, evaluations=steps, **judged(images, *parts()), **closely(images))
    if not full: return found
    image_grid(images[:64], 16, scale=1).save(RESULTS/"pokemon_samples.png")
    suspects = nearest(images, parts()[0])["pixels"].distance.argsort()[:6]
    save_image(nearest_panel(images[suspects], parts()[0]), RESULTS/"pokemon_nearest.png")
    return found


def autoguided(scale: float, since: int) -> dict:
    "Samples in 25 steps under guidance by a weaker network"
    images = draw(guided(scale, since), "unipc", 25)
    return dict(sampler="unipc", steps=25, scale=scale, since=since, **judged(images, *parts()), **closely(images))


def measures() -> dict:
    "All there is to measure, by name"
    found = {"real": floor, "noise": noise}
    found["original, DDPM 100"] = lambda: judged(draw(original(), "ddpm", 100), *parts())
    found |= {f"ablation: {name}": partial(lambda name: judged(draw(ablated(name), "unipc", 25), *parts()), name) for name in ABLATION}
    found["pokemon, DDPM 100"] = partial(model, "ddpm", 100, full=True)
    for name, sampler in (("DDIM", "ddim"), ("DPM-Solver++", "dpm"), ("UniPC", "unipc")):
        found[f"pokemon, {name} 25"] = partial(model, sampler, 25)
    found["pokemon, UniPC 10"] = partial(model, "unipc", 10)
    for scale, since in ((1.5, 1), (1.25, 30), GUIDANCE): found[f"guided, {scale:g} since {since}"] = partial(autoguided, scale, since)
    return found


def sheet(seed: int) -> None:
    "A shuffled sheet of 32 drawn and 32 real held-out pictures, and the key to it"
    _, held_out = parts()
    generator = torch.Generator().manual_seed(seed)
    drawn = draw(guided(*GUIDANCE), "unipc", 25, n=32, seed=1_000 + seed)
    real = to_floats(held_out[torch.randperm(len(held_out), generator=generator)[:32]])
    order = torch.randperm(64, generator=generator)
    image_grid(torch.cat([drawn, real])[order], 8, scale=2).save(RUNS/f"sheet_{seed}.png")
    write_file(RUNS/f"sheet_{seed}.json", lambda p: p.write_text(json.dumps(dict(drawn=(order < 32).long().view(8, 8).tolist()))))


def answers(seed: int, given: str) -> None:
    "How many of a sheet a judge told apart, into the results"
    key = sum(json.loads((RUNS/f"sheet_{seed}.json").read_text(encoding="utf-8"))["drawn"], [])
    if len(given) != 64 or set(given) - set("DR"): raise SystemExit(f"64 letters D (drawn) or R (real) are needed, not {len(given)}")
    right = [(letter == "D") == bool(drawn) for letter, drawn in zip(given, key)]
    keep(f"sheet {seed}", dict(told_apart=sum(right) / 64, drawn_known=sum(r for r, d in zip(right, key) if d) / 32,
                               real_known=sum(r for r, d in zip(right, key) if not d) / 32))


def stages(folder: Path, epochs: tuple, n: int = 8) -> Image.Image:
    "The first n of the samples that were drawn after some of a training's epochs, a row each"
    rows = []
    for epoch in epochs:
        grid = np.asarray(Image.open(folder/f"{epoch:04}.png"))
        gap = (grid.shape[0] - 4 * 48) // 5
        at = [gap + i * (48 + gap) for i in range(4)]
        rows += [torch.from_numpy(grid[at[i // 4]:, at[i % 4]:][:48, :48].copy()).permute(2, 0, 1) for i in range(n)]
    return image_grid(to_floats(torch.stack(rows)), n, scale=1)


def learned(which: str, model: Path, epochs: tuple) -> None:
    "What is to be told of a training"
    history = read_checkpoint(model.with_suffix(".pt"))["history"]
    keep(f"{which} training", {k: history[k] for k in ("mean_batch_loss", "val_loss", "seconds")})
    if epochs: stages(model.with_name(f"{model.stem}-epochs"), epochs).save(RESULTS/f"pokemon_{which}_stages.png")


def ship() -> None:
    "The trained weights into the package, in half precision, and what is to be told of their trainings"
    for which, epochs in TRAININGS.items():
        model = MODEL if which == "third" else MODEL.with_stem(f"{MODEL.stem}-{which}")
        if model.with_suffix(".pt").exists(): learned(which, model, epochs)
    diffusion = load_pretrained(MODEL)
    print(save_pretrained(diffusion, weights/"pokemon.safetensors", card=diffusion.card, dtype=torch.float16))


def ship_weak() -> None:
    "The network of the ablation that predicts the clean picture: guidance goes away from it"
    weak, settings = ablated("start"), read_checkpoint(RUNS/"start.pt")["settings"]
    recipe = ", ".join(f"{name} {settings[name]}" for name in ("num_epochs", "batch_size", "lr"))
    card = dict(data=f"{len(parts()[0]):,} pictures, 48×48, and mirrored", command="python tools/pokemon_measures.py trainings --only start",
                recipe=f"short on purpose: {recipe}; start predicted",
                seed=0, epochs=settings["num_epochs"], purpose="autoguide goes away from it")
    print(save_pretrained(weak, weights/"pokemon_weak.safetensors", card=card, dtype=torch.float16))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("trainings", "ship", "measures", "sheet", "answers"))
    parser.add_argument("--only", default="", help="only what has this in its name")
    parser.add_argument("--seed", type=int, default=0, help="of a sheet")
    parser.add_argument("--given", default="", help="64 letters, D or R")
    args = parser.parse_args()
    if args.command == "sheet": return sheet(args.seed)
    if args.command == "answers": return answers(args.seed, args.given)
    if args.command == "ship":
        for name, shipped in {"pokemon": ship, "pokemon_weak": ship_weak}.items():
            if args.only in ("", name): shipped()
        return
    if args.command == "trainings":
        every = {"original": original, **{name: partial(ablated, name) for name in ABLATION}}
        for name in [args.only] if args.only in every else [name for name in every if args.only in name]: every[name]()
        return
    for name, measure in measures().items():
        if args.only in name and name not in kept(): keep(name, measure())
    if not args.only: beside()


if __name__ == "__main__": main()
