"""The Pokémon pictures: read, prepared and split, and what is trained on them.

    python tools/pokemon.py pictures   # prepare the pictures, once, in a folder to train on and one that is held out
    python tools/pokemon.py encoder    # train the encoder that the package ships: minutes on one core

They are read from pokemon_64.npz in the folder that `DENOISING_DIFFUSION_DATA` names, and kept as they are prepared in
runs/pokemon/. What a command makes goes there too, or to the package's weights.
"""
import argparse
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from denoising_diffusion.data import write_file
from denoising_diffusion.features import Encoder, encoders, save_encoder, train_encoder
from denoising_diffusion.frechet import frechet_distance, mean_and_covariance

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT/"runs"/"pokemon"
SIDE = 48
FORMS = """386 3, 413 2, 492, 487, 479 5, 351 3, 550, 555, 648, 641, 642, 645, 646 2, 647, 678, 681, 710 3, 711 3, 3, 6 2, 9, 65, 94, 115,
    127, 130, 142, 150 2, 181, 212, 214, 229, 248, 257, 282, 303, 306, 308, 310, 354, 359, 445, 448, 460, 670, 380, 381, 260, 254, 302, 334,
    475, 531, 319, 80, 208, 18, 362, 719, 376, 382, 383, 384, 25 6, 720, 323, 428, 373, 15, 19, 20 2, 25 6, 26, 27, 28, 37, 38, 50, 51, 52,
    53, 74, 75, 76, 88, 89, 103, 105, 658 2, 718 3, 735, 738, 741 3, 745, 746, 754, 758, 774 3, 3, 774 9, 778 3, 784, 801, 25, 105, 743, 744, 745,
    752, 777, 800 2"""  # the species of the forms 10001, 10002, …, and how many in a row are of it; the one picture of 10133 is a Venusaur


class Pictures(NamedTuple):
    "Pictures with what is known of them"
    images: torch.Tensor  # uint8 (N, 3, side, side)
    names: np.ndarray  # (N,) such as "Kangaskhan-mega"
    dex_id: np.ndarray  # (N,) number of the species; from 10001 that of a form
    source: np.ndarray  # (N,) the style, such as "official-artwork"

    def where(self, mask) -> "Pictures":
        "Those for which `mask` (N,) is true, or whose numbers it holds"
        mask = np.asarray(mask)
        return Pictures(self.images[torch.from_numpy(mask)], self.names[mask], self.dex_id[mask], self.source[mask])


def preprocess(picture: np.ndarray, side: int = SIDE, margin: float = 0.04, least: int = 8) -> np.ndarray:
    "A picture (H, W, 3) on white, cropped to what differs from white by more than `least`, in the middle of a square with a margin"
    rows, columns = ((255 - picture.min(2)) > least).nonzero()
    if len(rows): picture = picture[rows.min():rows.max() + 1, columns.min():columns.max() + 1]
    height, width = picture.shape[:2]
    square = round(max(height, width) / (1 - 2 * margin))
    board = Image.new("RGB", (square, square), "white")
    board.paste(Image.fromarray(picture), ((square - width) // 2, (square - height) // 2))
    return np.asarray(board.resize((side, side), Image.Resampling.LANCZOS))


@lru_cache(maxsize=2)
def load_pictures(side: int = SIDE) -> Pictures:
    "All the pictures, prepared"
    kept = RUNS/f"pictures_{side}.npz"
    if not kept.exists():
        folder = os.environ.get("DENOISING_DIFFUSION_DATA")
        path = Path(folder or ".").expanduser()/"pokemon_64.npz"
        if not folder or not path.is_file():
            raise SystemExit(f"pokemon_64.npz is not in {folder or 'any known folder'}: set DENOISING_DIFFUSION_DATA to the folder that holds it "
                             "(images uint8 (N, 64, 64, 3) on white, names, dex_id, source)")
        raw = np.load(path)
        images = np.stack([preprocess(picture, side) for picture in raw["images"]]).transpose(0, 3, 1, 2)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_file(kept, lambda p: np.savez_compressed(p, images=images, **{k: raw[k] for k in ("names", "dex_id", "source")}))
    read = np.load(kept)
    return Pictures(torch.from_numpy(read["images"]), read["names"], read["dex_id"], read["source"])


def species(dex_id: np.ndarray) -> np.ndarray:
    "The numbers of the species, where a form (from 10001 on) has that of the species it is of"
    rows = [row.split() for row in FORMS.split(",")]
    table = np.array([int(row[0]) for row in rows for _ in range(int(row[1]) if len(row) > 1 else 1)])
    dex_id = np.asarray(dex_id)
    if dex_id.max() > 10_000 + len(table): raise ValueError(f"the species of form {dex_id.max()} is not known: the last one is {10_000 + len(table)}")
    return np.where(dex_id > 10_000, table[(dex_id - 10_001).clip(0)], dex_id)


def split_species(dex_id: np.ndarray, fraction: float = 0.1, seed: int = 0) -> np.ndarray:  # bool (N,)
    "Which pictures are held out: all of a random `fraction` of the species, with their forms"
    kinds = species(dex_id)
    every = np.unique(kinds)
    out = np.random.default_rng(seed).choice(every, round(fraction * len(every)), replace=False)
    return np.isin(kinds, out)


def same_species(features: torch.Tensor, pictures: Pictures, which) -> float:
    "For which share of the pictures in the mask `which` the nearest of all from other sources is of the same species, by `features` (N, …)"
    which, kinds, x = torch.as_tensor(which), species(pictures.dex_id), features.float()
    distance = torch.cdist(x[which], x)
    distance[torch.from_numpy(pictures.source[which.numpy()][:, None] == pictures.source)] = float("inf")
    return float((kinds[distance.argmin(1).numpy()] == kinds[which.numpy()]).mean())


def write_folders(pictures: Pictures, held_out: np.ndarray) -> list[Path]:
    "The pictures as files in two folders, to train on and to measure against; named by their numbers"
    folders = []
    for part, mask in dict(train=~held_out, held_out=held_out).items():
        folder = RUNS/part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for i in mask.nonzero()[0]: Image.fromarray(pictures.images[i].permute(1, 2, 0).numpy()).save(folder/f"{i:04}.png")
        folders.append(folder)
    return folders


def make_encoder(pictures: Pictures, num_epochs: int, seed: int) -> Encoder:
    "An encoder of these pictures, with its card"
    encoder = train_encoder(pictures.images, groups=torch.from_numpy(species(pictures.dex_id)).long(), num_epochs=num_epochs, seed=seed)
    held_out, seen = torch.from_numpy(split_species(pictures.dex_id)), encoder.see(pictures.images)
    floor = frechet_distance(*mean_and_covariance(seen[held_out]), *mean_and_covariance(seen[~held_out]))
    encoder.card = dict(
        data=f"{len(seen):,} pictures of {len(np.unique(species(pictures.dex_id))):,} species of Pokémon on white, {SIDE}×{SIDE}",
        command="python tools/pokemon.py encoder", num_epochs=num_epochs, seed=seed, parameters=sum(p.numel() for p in encoder.parameters()),
        same_species=round(same_species(seen, pictures, held_out), 4), floor=round(floor, 4), held_out=int(held_out.sum()))
    return encoder


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pictures", help="prepare the pictures, in two folders")
    sub = commands.add_parser("encoder", help="train the encoder that the package ships")
    sub.add_argument("--out", type=Path, default=encoders/"pokemon-1.safetensors", help="the file")
    sub.add_argument("--epochs", type=int, default=24)
    sub.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pictures = load_pictures()
    held_out = split_species(pictures.dex_id)
    if args.command == "pictures":
        print(f"{len(held_out):,} pictures of {len(np.unique(species(pictures.dex_id))):,} species: {held_out.sum():,} of "
              f"{len(np.unique(species(pictures.dex_id[held_out]))):,} species are held out")
        print(*write_folders(pictures, held_out))
    if args.command == "encoder":
        encoder = make_encoder(pictures, args.epochs, args.seed)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        print(save_encoder(encoder, args.out), *(f"{entry}: {value}" for entry, value in encoder.card.items()), sep="\n")


if __name__ == "__main__": main()
