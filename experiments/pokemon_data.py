"""The Pokémon images: read, prepared and split, and the encoder that is trained on them.

    python experiments/pokemon_data.py pictures   # to train on, and held out: 24 labels
    python experiments/pokemon_data.py encoder    # the package's encoder: minutes on one core

They are read from pokemon_64.npz in the folder that `DENOISING_DIFFUSION_DATA` names, and kept in
runs/pokemon/ as they are prepared. What the commands make goes there too, or to the package.
"""
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from fastcore.script import Param, call_parse
from PIL import Image
from results import ROOT

from denoising_diffusion.features import Encoder, save_encoder, train_encoder
from denoising_diffusion.files import weights_folder, write_file
from denoising_diffusion.metrics import frechet_distance, mean_and_covariance

RUNS = ROOT/"runs"/"pokemon"
SIDE = 48
KNOWN = "names", "dex_id", "source"  # of each image
STYLES = "render", "sprite", "artwork"
RENDERS, ARTWORKS = ("usum", "xy", "model", "oras"), ("official-artwork", "jirfoux-artwork")
COLORS = "red", "orange", "yellow", "green", "blue", "purple", "gray", "white"
HUE_ENDS = 12, 42, 68, 165, 255, 345  # where each of the first six colors ends, in degrees
CLASS_NAMES = [f"{color} {style}" for style in STYLES for color in COLORS]
# The species of the forms 10001, 10002, …, and how many in a row are of it; the one image of 10133
# is a Venusaur.
FORMS = """386 3, 413 2, 492, 487, 479 5, 351 3, 550, 555, 648, 641, 642, 645, 646 2, 647, 678, 681,
    710 3, 711 3, 3, 6 2, 9, 65, 94, 115, 127, 130, 142, 150 2, 181, 212, 214, 229, 248, 257, 282,
    303, 306, 308, 310, 354, 359, 445, 448, 460, 670, 380, 381, 260, 254, 302, 334, 475, 531, 319,
    80, 208, 18, 362, 719, 376, 382, 383, 384, 25 6, 720, 323, 428, 373, 15, 19, 20 2, 25 6, 26, 27,
    28, 37, 38, 50, 51, 52, 53, 74, 75, 76, 88, 89, 103, 105, 658 2, 718 3, 735, 738, 741 3, 745,
    746, 754, 758, 774 3, 3, 774 9, 778 3, 784, 801, 25, 105, 743, 744, 745, 752, 777, 800 2"""
MISSING = ("pokemon_64.npz is not in {}: set DENOISING_DIFFUSION_DATA to the folder that holds it "
           "(images uint8 (N, 64, 64, 3) on white, names, dex_id, source)")


class Pokemon(NamedTuple):
    "Images, and what is known of each"
    images: torch.Tensor  # uint8 (N, 3, side, side)
    names: np.ndarray  # (N,) such as "Kangaskhan-mega"
    dex_id: np.ndarray  # (N,) number of the species; from 10001 on that of a form
    source: np.ndarray  # (N,) the style, such as "official-artwork"

    def where(self, mask: np.ndarray | torch.Tensor) -> "Pokemon":
        "Those for which `mask` (N,) is true"
        mask = np.asarray(mask)
        images = self.images[torch.from_numpy(mask)]
        return Pokemon(images, *(values[mask] for values in self[1:]))


def subject(image: np.ndarray, least: int) -> np.ndarray:
    "The part of an image (H, W, 3) that differs from white by more than `least`; all, if none does"
    rows, columns = ((255 - image.min(2)) > least).nonzero()
    if not len(rows): return image
    return image[rows.min():rows.max() + 1, columns.min():columns.max() + 1]


def preprocess(image: np.ndarray, side: int = SIDE, margin: float = 0.04, least: int = 8,
               ) -> np.ndarray:  # (side, side, 3)
    """The subject of an image (H, W, 3) on white, in the middle of a square with a margin

    The shipped weights depend on it. It is not `square_image`, which has another margin, another
    threshold, and keeps the pixels sharp where it enlarges."""
    image = subject(image, least)
    height, width = image.shape[:2]
    square = round(max(height, width) / (1 - 2 * margin))
    board = Image.new("RGB", (square, square), "white")
    board.paste(Image.fromarray(image), ((square - width) // 2, (square - height) // 2))
    return np.asarray(board.resize((side, side), Image.Resampling.LANCZOS))


def read_raw() -> dict[str, np.ndarray]:
    "The images as they come, with what is known of them"
    folder = os.environ.get("DENOISING_DIFFUSION_DATA")
    path = Path(folder or ".").expanduser()/"pokemon_64.npz"
    if not folder or not path.is_file():
        raise SystemExit(MISSING.format(folder or "any known folder"))
    raw = np.load(path)
    return {name: raw[name] for name in ("images", *KNOWN)}


@lru_cache(maxsize=2)
def load_images(side: int = SIDE) -> Pokemon:
    "All images, prepared"
    path = RUNS/f"pictures_{side}.npz"
    if not path.exists():
        raw = read_raw()
        squares = [preprocess(image, side) for image in raw["images"]]
        raw["images"] = np.stack(squares).transpose(0, 3, 1, 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda temporary: np.savez_compressed(temporary, **raw))
    found = np.load(path)
    return Pokemon(torch.from_numpy(found["images"]), *(found[name] for name in KNOWN))


def form_species() -> np.ndarray:
    "The species of each form, from 10001 on"
    rows = [row.split() for row in FORMS.split(",")]
    counts = [int(row[1]) if len(row) > 1 else 1 for row in rows]
    return np.repeat([int(row[0]) for row in rows], counts)


def species(dex_id: np.ndarray) -> np.ndarray:
    "The numbers of the species; a form, from 10001 on, has that of its species"
    table, dex_id = form_species(), np.asarray(dex_id)
    last = 10_000 + len(table)
    if dex_id.max() > last:
        raise ValueError(f"the species of form {dex_id.max()} is not known: the last one is {last}")
    return np.where(dex_id > 10_000, table[(dex_id - 10_001).clip(0)], dex_id)


def split_species(dex_id: np.ndarray, fraction: float = 0.1, seed: int = 0) -> np.ndarray:
    "Which images (N,) are held out: all of a random `fraction` of the species, with their forms"
    kinds = species(dex_id)
    every = np.unique(kinds)
    generator = np.random.default_rng(seed)
    out = generator.choice(every, round(fraction * len(every)), replace=False)
    return np.isin(kinds, out)


def hues(x: np.ndarray) -> tuple[np.ndarray, ...]:  # (N, H, W, 3) in 0 … 1 -> each (N, H, W)
    "The hue in degrees, the saturation and the value of each pixel"
    red, green, blue = np.moveaxis(x, 3, 0)
    value = x.max(3)
    spread = value - x.min(3)
    some = np.where(spread > 0, spread, 1)
    hue = np.where(value == red, (green - blue) / some % 6,
                   np.where(value == green, (blue - red) / some + 2, (red - green) / some + 4))
    return 60 * hue, spread / np.where(value > 0, value, 1), value


def common_hue(hue: np.ndarray, weight: np.ndarray) -> np.ndarray:  # (N,), in degrees
    "The middle of the 30° that weigh most, in steps of 10°; hue and weight are (N, H, W)"
    n, bins = len(hue), (hue // 10).astype(int) % 36
    places = bins + 36 * np.arange(n)[:, None, None]
    share = np.bincount(places.ravel(), weight.ravel(), 36 * n).reshape(n, 36)
    around = share + np.roll(share, 1, 1) + np.roll(share, -1, 1)
    return 10 * around.argmax(1) + 5


def color_of(images: torch.Tensor) -> np.ndarray:  # uint8 (N, 3, H, W) -> (N,), places in COLORS
    """The color of the subject of each image, drawn or real

    The subject is all pixels with a channel below 240. If it is pale or dark on average, it is gray
    or white, else it has the most frequent hue."""
    if not len(images): return np.zeros(0, int)
    if len(images) > 500: return np.concatenate([color_of(part) for part in images.split(500)])
    pixels = images.permute(0, 2, 3, 1).numpy()
    inside = pixels.min(3) < 240
    hue, saturation, value = hues(pixels / 255)
    weight, count = saturation * value * inside, inside.sum((1, 2)).clip(1)
    colors = np.searchsorted(HUE_ENDS, common_hue(hue, weight), side="right") % 6
    is_white = (value * inside).sum((1, 2)) / count > 0.72
    return np.where(weight.sum((1, 2)) / count < 0.13, np.where(is_white, 7, 6), colors)


def style_of(source: np.ndarray) -> np.ndarray:  # (N,), places in STYLES
    "The style of each source"
    base = [str(name).removesuffix("-f") for name in source]  # -f: the female form
    return np.where(np.isin(base, RENDERS), 0, np.where(np.isin(base, ARTWORKS), 2, 1))


def labels(known: Pokemon) -> np.ndarray:  # (N,), in 1 … 24
    "The label of each image; `CLASS_NAMES` holds their names"
    return 1 + len(COLORS) * style_of(known.source) + color_of(known.images)


def same_species(
    features: torch.Tensor,  # (N, …)
    known: Pokemon,
    which: np.ndarray | torch.Tensor,  # bool (N,)
) -> float:
    "For what share of some images the nearest from any other source is of the same species"
    which, kinds = np.asarray(which), species(known.dex_id)
    x = features.float()
    distance = torch.cdist(x[torch.from_numpy(which)], x)
    alike = known.source[which][:, None] == known.source
    distance[torch.from_numpy(alike)] = float("inf")
    return float((kinds[distance.argmin(1).numpy()] == kinds[which]).mean())


def write_folders(known: Pokemon, held_out: np.ndarray) -> list[Path]:
    "The images as files, named by their numbers, in two folders with one for each label"
    names = [CLASS_NAMES[label - 1] for label in labels(known)]
    folders = []
    for part, mask in dict(train=~held_out, held_out=held_out).items():
        folder = RUNS/part
        shutil.rmtree(folder, ignore_errors=True)
        for i in mask.nonzero()[0]:
            pixels = known.images[i].permute(1, 2, 0).numpy()
            (folder/names[i]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder/names[i]/f"{i:04}.png")
        folders.append(folder)
    return folders


def make_encoder(known: Pokemon, num_epochs: int, seed: int) -> Encoder:
    "An encoder of these images, with its card"
    kinds = species(known.dex_id)
    encoder = train_encoder(known.images, groups=torch.from_numpy(kinds).long(),
                            num_epochs=num_epochs, seed=seed)
    held_out = torch.from_numpy(split_species(known.dex_id))
    features = encoder.features(known.images)
    floor = frechet_distance(*mean_and_covariance(features[held_out]),
                             *mean_and_covariance(features[~held_out]))
    num_species = len(np.unique(kinds))
    encoder.card = dict(
        data=f"{len(kinds):,} pictures of {num_species:,} species of Pokémon on white, "
             f"{SIDE}×{SIDE}",
        command="python experiments/pokemon_data.py encoder", num_epochs=num_epochs, seed=seed,
        parameters=sum(p.numel() for p in encoder.parameters()),
        same_species=round(same_species(features, known, held_out), 4), floor=round(floor, 4),
        held_out=int(held_out.sum()))
    return encoder


def make_folders(known: Pokemon) -> None:
    "Write both folders, and say what is in them"
    held_out = split_species(known.dex_id)
    count, count_out = (len(np.unique(species(ids)))
                        for ids in (known.dex_id, known.dex_id[held_out]))
    print(f"{len(held_out):,} images of {count:,} species: {held_out.sum():,} of "
          f"{count_out:,} species are held out")
    print(*write_folders(known, held_out))


@call_parse
def main(
    command: Param("pictures: prepare them, in two folders; encoder: train the package's encoder",
                   str, choices=("pictures", "encoder")),
    out: Path = weights_folder/"encoders"/"pokemon-1.safetensors",  # the file of the encoder
    epochs: int = 24,  # of the encoder
    seed: int = 0,  # of the encoder
):
    "Prepare the Pokémon images, or train an encoder on them"
    known = load_images()
    if command == "pictures": return make_folders(known)
    encoder = make_encoder(known, epochs, seed)
    entries = (f"{entry}: {value}" for entry, value in encoder.card.items())
    print(save_encoder(encoder, out), *entries, sep="\n")
