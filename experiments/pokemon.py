"""Train what the Pokémon model is compared with, and measure: all numbers in nbs/62_pokemon.ipynb.

    python experiments/pokemon_data.py pictures     # the images, in two folders; then the model
    ddpm_train runs/pokemon/train --unlabelled --recipe quick --size 48 --epochs 45 --bf16 \\
        --out runs/pokemon-first.safetensors
    ddpm_train runs/pokemon/train --unlabelled --size 48 --epochs 30 \\
        --finetune runs/pokemon-first.safetensors --out runs/pokemon-second.safetensors
    ddpm_train runs/pokemon/train --unlabelled --size 48 --epochs 200 --lr 5e-4 --bf16 \\
        --finetune runs/pokemon-second.safetensors --out runs/pokemon.safetensors
    python experiments/pokemon.py trainings         # the original configuration, the ablation
    python experiments/pokemon.py ship              # the weights into the package, in float16
    python experiments/pokemon.py measures          # all measures
    python experiments/pokemon.py sheet --seed 1    # 32 drawn and 32 real images, shuffled
    python experiments/pokemon.py answers --seed 1 --given DRRD…   # a rater's: D or R, row by row

A measure goes to nbs/results/pokemon.json as soon as it is there, and is not measured again.
"""
import json
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from fastcore.script import Param, call_parse
from PIL import Image
from pokemon_data import RUNS, SIDE, load_images, split_species
from results import RESULTS, add_result, read_results
from torch import Tensor

from denoising_diffusion import (
    GaussianDiffusion, UNet, autoguide, color_statistics, cosine_beta_schedule, image_grid,
    load_encoder, load_pretrained, memorization_rate, nearest_images, nearest_panel,
    picture_distance, precision_recall, sample, save_pretrained, train)
from denoising_diffusion.checkpoints import read_checkpoint
from denoising_diffusion.data import is_bf16_fast, to_floats
from denoising_diffusion.files import weights_folder, write_file
from denoising_diffusion.plots import save_image
from denoising_diffusion.recipes import find_recipe, picture_diffusion
from denoising_diffusion.schedules import clipped_snr_weights, cumulate_alphas

FOUND = RESULTS/"pokemon.json"
MODEL = RUNS.parent/"pokemon.safetensors"
# the trainings of the model, and the epochs after which samples of each are shown
TRAININGS = {"first": (1, 3, 8, 15, 30, 45), "second": (), "third": (1, 10, 50, 100, 200)}
NUM = 612  # images of each kind that are measured: as many as are held out
BETAS = cosine_beta_schedule(100)
BF16 = torch.bfloat16 if is_bf16_fast() else None
ORIGINAL = dict(  # of the package that this one re-creates: a constant rate, nothing averaged
    batch_size=32, lr=1e-3, optimizer=torch.optim.Adam, lr_schedule=None, ema_decay=None,
    grad_clip=None, checkpoint_steps=200)
GUIDANCE = 1.5, 30  # scale, and the time from which on it is used
V_TIMES = clipped_snr_weights(BETAS, 5.0)
LITTLE_NOISE = V_TIMES / (1 - cumulate_alphas(BETAS)[1:])  # x̂_0 counts min(SNR + 1, 5) as for v
ABLATION = {  # half as wide and far shorter than the recipe: prediction, and other options
    "v, min-SNR times": ("v", dict(time_weights=V_TIMES)),
    "v, all times alike": ("v", {}),
    "start": ("start", {}),
    "start, little noise more often": ("start", dict(time_weights=LITTLE_NOISE)),
    "noise": ("noise", {})}


def parts() -> tuple[Tensor, Tensor]:
    "The training images and the held-out ones, uint8 (N, 3, 48, 48)"
    known = load_images()
    held_out = torch.from_numpy(split_species(known.dex_id))
    return known.images[~held_out], known.images[held_out]


def keep(name: str, found: dict) -> None:
    "Add to the results"
    add_result(FOUND, name, found)
    numbers = {key: value for key, value in found.items() if not isinstance(value, (list, dict))}
    print(name, numbers, flush=True)


# Trainings

def trained(name: str, diffusion: GaussianDiffusion, **options: object) -> GaussianDiffusion:
    "`diffusion` trained on the training images, from its checkpoint if it is done already"
    train(diffusion, parts()[0], seed=0, checkpoint=RUNS/f"{name}.pt", resume=True, **options)
    return diffusion


def original() -> GaussianDiffusion:
    "What the original package did, for 15 epochs"
    torch.manual_seed(0)
    network = UNet(3, 16, 100)
    diffusion = GaussianDiffusion(BETAS, (3, SIDE, SIDE), network, prediction="noise")
    return trained("original", diffusion, num_epochs=15, **ORIGINAL)


@lru_cache
def recipe_settings() -> dict:
    "The options of `ddpm_train` for the folder of the training images"
    how = dict(size=SIDE, unlabelled=True, recipe="quick")
    return find_recipe(str(RUNS/"train"), **how).settings


def ablated(name: str, epochs: int = 8, channels: int = 24) -> GaussianDiffusion:
    "One change of the recipe"
    prediction, changed = ABLATION[name]
    settings = recipe_settings() | dict(num_epochs=epochs, dtype=BF16) | changed
    torch.manual_seed(0)
    diffusion = picture_diffusion(SIDE, channels, prediction)
    return trained(name.replace(", ", "_").replace(" ", "_"), diffusion, **settings)


def trainings() -> dict[str, Callable]:
    "The trainings by name"
    return {"original": original} | {name: partial(ablated, name) for name in ABLATION}


# Samples

def draw(diffusion: GaussianDiffusion, sampler: str, steps: int, n: int = NUM, seed: int = 0,
         ) -> Tensor:
    "n samples, in bfloat16 where that is fast"
    return sample(diffusion, n, seed=seed, chunk=100, dtype=BF16, rule=sampler,
                  sampling_timesteps=steps)


def guided(scale: float, since: int) -> GaussianDiffusion:
    "The trained model under autoguidance by the weaker one"
    good, weak = load_pretrained(MODEL), load_pretrained("pokemon_weak")
    return good.replace(autoguide(good.denoise_fn, weak.denoise_fn, scale, since))


def draw_beside(n: int = 8) -> None:
    "The same noise without guidance and with it, a row each"
    diffusions = load_pretrained(MODEL), guided(*GUIDANCE)
    rows = [draw(diffusion, "unipc", 25, n=n, seed=3) for diffusion in diffusions]
    image_grid(torch.cat(rows), n, scale=2).save(RESULTS/"pokemon_guided.png")


# Measures

def distances(images: Tensor) -> dict:
    "Distance, precision and recall of images, compared with the held-out ones"
    held_out, encoder = parts()[1], load_encoder("pokemon-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are few
        distance = picture_distance(images, held_out, encoder)
    features = encoder.features(images[:len(held_out)])
    precision, recall = precision_recall(features, encoder.features(held_out))
    return dict(n=len(images), distance=distance, precision=precision, recall=recall)


def details(images: Tensor) -> dict:
    "The colors of samples, and how near they come to training images"
    train_images, held_out = parts()
    drawn, real = (nearest_images(x, train_images) for x in (images, held_out))
    nearest = {way: dict(drawn=drawn[way].distance.median().item(),
                         held_out=real[way].distance.median().item()) for way in drawn}
    return dict(colors=color_statistics(images),
                copies=memorization_rate(images, train_images, held_out), nearest=nearest)


def floor() -> dict:
    "As many training images in the place of samples"
    train_images, held_out = parts()
    order = torch.randperm(len(train_images), generator=torch.Generator().manual_seed(0))
    return distances(train_images[order[:NUM]]) | dict(colors=color_statistics(held_out))


def noise() -> dict:
    "Noise in the place of samples"
    generator = torch.Generator().manual_seed(0)
    return distances(torch.randn(NUM, 3, SIDE, SIDE, generator=generator))


def model(sampler: str, steps: int, with_images: bool = False) -> dict:
    "Samples of the trained model; `with_images` writes some of them, and those most like real ones"
    images = draw(load_pretrained(MODEL), sampler, steps)
    found = dict(sampler=sampler, evaluations=steps) | distances(images) | details(images)
    if with_images:
        train_images, _ = parts()
        nearest = nearest_images(images, train_images)["pixels"].distance.argsort()
        panel = nearest_panel(images[nearest[:6]], train_images)
        image_grid(images[:64], 16, scale=1).save(RESULTS/"pokemon_samples.png")
        save_image(panel, RESULTS/"pokemon_nearest.png")
    return found


def autoguided(scale: float, since: int) -> dict:
    "Samples in 25 steps under guidance by a weaker model"
    images = draw(guided(scale, since), "unipc", 25)
    about = dict(sampler="unipc", steps=25, scale=scale, since=since)
    return about | distances(images) | details(images)


def drawn_by(train_model: Callable[[], GaussianDiffusion], sampler: str, steps: int) -> dict:
    "The distances of a model of `trainings`"
    return distances(draw(train_model(), sampler, steps))


def measures() -> dict[str, Callable[[], dict]]:
    "All measures by name"
    found = {"real": floor, "noise": noise}
    found["original, DDPM 100"] = partial(drawn_by, original, "ddpm", 100)
    for name in ABLATION:
        found[f"ablation: {name}"] = partial(drawn_by, partial(ablated, name), "unipc", 25)
    found["pokemon, DDPM 100"] = partial(model, "ddpm", 100, with_images=True)
    for title, sampler in (("DDIM", "ddim"), ("DPM-Solver++", "dpm"), ("UniPC", "unipc")):
        found[f"pokemon, {title} 25"] = partial(model, sampler, 25)
    found["pokemon, UniPC 10"] = partial(model, "unipc", 10)
    for scale, since in ((1.5, 1), (1.25, 30), GUIDANCE):
        found[f"guided, {scale:g} since {since}"] = partial(autoguided, scale, since)
    return found


# Drawn or real?

def make_sheet(seed: int) -> None:
    "A shuffled sheet of 32 drawn and 32 held-out images, and the key to it"
    _, held_out = parts()
    generator = torch.Generator().manual_seed(seed)
    drawn = draw(guided(*GUIDANCE), "unipc", 25, n=32, seed=1_000 + seed)
    real = to_floats(held_out[torch.randperm(len(held_out), generator=generator)[:32]])
    order = torch.randperm(64, generator=generator)
    image_grid(torch.cat([drawn, real])[order], 8, scale=2).save(RUNS/f"sheet_{seed}.png")
    key = json.dumps(dict(drawn=(order < 32).long().view(8, 8).tolist()))
    write_file(RUNS/f"sheet_{seed}.json", lambda path: path.write_text(key))


def share(right: list[bool]) -> float: return sum(right) / len(right)


def keep_answers(seed: int, given: str) -> None:
    "How much of a sheet a rater got right, into the results"
    rows = json.loads((RUNS/f"sheet_{seed}.json").read_text(encoding="utf-8"))["drawn"]
    key = [bool(drawn) for row in rows for drawn in row]
    if len(given) != len(key) or set(given) - set("DR"):
        raise SystemExit(f"--given must be {len(key)} letters D (drawn) or R (real), not {given!r}")
    right = [(letter == "D") == drawn for letter, drawn in zip(given, key)]
    drawn_known = share([ok for ok, drawn in zip(right, key) if drawn])
    real_known = share([ok for ok, drawn in zip(right, key) if not drawn])
    found = dict(told_apart=share(right), drawn_known=drawn_known, real_known=real_known)
    keep(f"sheet {seed}", found)


# The weights

def read_tiles(path: Path, n: int) -> Tensor:  # uint8 (n, 3, 48, 48)
    "The first n images of a grid with four rows that `ddpm_train` wrote"
    grid = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    gap = (grid.shape[1] - 4 * SIDE) // 5
    starts = [gap + i * (SIDE + gap) for i in range(4)]
    corners = [(starts[i // 4], starts[i % 4]) for i in range(n)]
    return torch.stack([grid[:, top:top + SIDE, left:left + SIDE] for top, left in corners])


def stages(folder: Path, epochs: tuple[int, ...], n: int = 8) -> Image.Image:
    "Samples that were drawn after some epochs of a training, a row each"
    rows = torch.cat([read_tiles(folder/f"{epoch:04}.png", n) for epoch in epochs])
    return image_grid(to_floats(rows), n, scale=1)


def keep_training(which: str, path: Path) -> None:
    "The losses of a training of the model into the results, and samples from its epochs"
    history, epochs = read_checkpoint(path.with_suffix(".pt"))["history"], TRAININGS[which]
    keep(f"{which} training", {key: history[key] for key in ("mean_batch_loss", "val_loss",
                                                             "seconds")})
    if not epochs: return
    image = stages(path.with_name(f"{path.stem}-epochs"), epochs)
    image.save(RESULTS/f"pokemon_{which}_stages.png")


def ship() -> None:
    "The trained weights into the package, in float16, and the losses of their trainings"
    for which in TRAININGS:
        path = MODEL if which == "third" else MODEL.with_stem(f"{MODEL.stem}-{which}")
        if path.with_suffix(".pt").exists(): keep_training(which, path)
    diffusion = load_pretrained(MODEL)
    print(save_pretrained(diffusion, weights_folder/"pokemon.safetensors", card=diffusion.card,
                          dtype=torch.float16))


def ship_weak() -> None:
    "The model of the ablation that predicts the clean image, for autoguidance"
    weak, settings = ablated("start"), read_checkpoint(RUNS/"start.pt")["settings"]
    recipe = ", ".join(f"{name} {settings[name]}" for name in ("num_epochs", "batch_size", "lr"))
    card = dict(data=f"{len(parts()[0]):,} pictures, {SIDE}×{SIDE}, and mirrored",
                command="python experiments/pokemon.py trainings --only start",
                recipe=f"short on purpose: {recipe}; start predicted", seed=0,
                epochs=settings["num_epochs"], purpose="autoguide goes away from it")
    path = weights_folder/"pokemon_weak.safetensors"
    print(save_pretrained(weak, path, card=card, dtype=torch.float16))


# The commands

def chosen(functions: dict[str, Callable], only: str) -> dict[str, Callable]:
    "The function of the name `only`, or else all that have it in their names"
    if only in functions: return {only: functions[only]}
    return {name: function for name, function in functions.items() if only in name}


def measure(only: str) -> None:
    "All measures with `only` in their names that are not among the results yet"
    for name, function in measures().items():
        if only in name and name not in read_results(FOUND): keep(name, function())
    if not only: draw_beside()


@call_parse
def main(
    command: Param("what to do: see the head of this file", str,
                   choices=("trainings", "ship", "measures", "sheet", "answers")),
    only: str = "",  # only what has this in its name
    seed: int = 0,  # of a sheet
    given: str = "",  # 64 letters, D or R
):
    "Train, measure and ship the Pokémon"
    if command == "sheet": return make_sheet(seed)
    if command == "answers": return keep_answers(seed, given)
    if command == "measures": return measure(only)
    functions = trainings()
    if command == "ship": functions = {"pokemon": ship, "pokemon_weak": ship_weak}
    for function in chosen(functions, only).values(): function()
