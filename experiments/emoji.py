"""A model of emoji by category, as an example of labeled images of one's own.

    python experiments/emoji.py folders emoji_48.npz    # runs/emoji/train and runs/emoji/test
    ddpm_train runs/emoji/train --size 24 --channels 32 --epochs 80 --recipe quick \\
        --out runs/emoji.safetensors
    python experiments/emoji.py measure runs/emoji.safetensors

`emoji_48.npz` holds `images` (N, 48, 48, 3) uint8, `name` and `category`. Every fifth name is held
out for the test, in all styles. `measure` trains a classifier on the real images of the training,
and asks how many real test images, and how many samples, it reads as their category. The result
goes to nbs/results/emoji.json.
"""
import shutil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from fastcore.script import Param, call_parse
from PIL import Image
from results import RESULTS, add_result
from torch import Tensor, nn

from denoising_diffusion import cycle_labels, load_pretrained, sample
from denoising_diffusion.data import to_floats
from denoising_diffusion.datasets import load_data
from denoising_diffusion.fitting import fit, random_flip

FOLDER = Path("runs/emoji")
SIZE = 24


def make_folders(source: Path) -> None:
    "Write a PNG file for each emoji, in a sub-folder for its category"
    arrays = np.load(source)
    names = sorted({*arrays["name"].tolist()})
    held_out = {*names[::5]}
    shutil.rmtree(FOLDER, ignore_errors=True)
    for i, (pixels, name, category) in enumerate(zip(arrays["images"], arrays["name"],
                                                     arrays["category"])):
        part = FOLDER/("test" if name in held_out else "train")/str(category)
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(part/f"{i:04}.png")
    for part in ("train", "test"): print(f"{FOLDER/part}: {load_data(FOLDER/part, SIZE).summary()}")


def make_classifier(num_classes: int) -> nn.Module:
    "A small convolutional network, from images (B, 3, 24, 24) to logits (B, K)"
    def layer(c_in: int, c_out: int) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU()]
    return nn.Sequential(
        *layer(3, 32), *layer(32, 32), nn.MaxPool2d(2), *layer(32, 64), *layer(64, 64),
        nn.MaxPool2d(2), *layer(64, 128), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(512, num_classes))


def shifted(x: Tensor) -> Tensor:
    "A batch mirrored and moved by up to two pixels at random, on white"
    dx, dy = (int(torch.randint(-2, 3, ())) for _ in range(2))
    padded = F.pad(random_flip(x), (2, 2, 2, 2), value=1.0)
    return padded[..., 2 + dy:2 + dy + x.shape[-2], 2 + dx:2 + dx + x.shape[-1]]


def train_classifier(x: Tensor, labels: Tensor, seed: int, num_epochs: int = 40) -> nn.Module:
    "Train a classifier of images in [-1, 1]; labels are counted from 1"
    torch.manual_seed(seed)
    network = make_classifier(int(labels.max()))
    def loss_of(i: Tensor) -> Tensor:
        return F.cross_entropy(network(shifted(x[i])), labels[i] - 1, label_smoothing=0.1)
    fit(network.parameters(), loss_of, len(x), num_epochs=num_epochs, batch_size=64, lr=2e-3,
        least=2, desc=f"classifier {seed}")
    return network.eval()


@torch.no_grad()
def share_right(network: nn.Module, x: Tensor, labels: Tensor) -> float:
    "How many images are read as their label"
    read = torch.cat([network(part).argmax(1) for part in x.split(256)]) + 1
    return (read == labels).double().mean().item()


def measure(model: Path, n: int = 800, seeds: tuple[int, ...] = (0, 1, 2)) -> None:
    "The share of real test images and of samples that are read as their category"
    train_set, test_set = (load_data(FOLDER/part, SIZE) for part in ("train", "test"))
    real, test = to_floats(train_set.x), to_floats(test_set.x)
    diffusion = load_pretrained(model)
    asked = torch.tensor(cycle_labels(range(1, len(diffusion.class_names) + 1), n))
    readers = [train_classifier(real, train_set.labels, seed) for seed in seeds]
    row = dict(model=model.name, command=diffusion.card["command"], n=n,
               real=[round(share_right(reader, test, test_set.labels), 4) for reader in readers])
    for scale in (1.0, 1.5, 2.0, 3.0):
        drawn = sample(diffusion, n, asked, guidance_scale=scale)
        shares = [round(share_right(reader, drawn, asked), 4) for reader in readers]
        row[f"guidance {scale:g}"] = shares
        print(f"guidance {scale:g}: {shares} read as asked; real {row['real']}")
    add_result(RESULTS/"emoji.json", model.stem, row)


@call_parse
def main(
    task: Param("what to do", str, choices=("folders", "measure")),
    source: Param("the .npz file of emoji, or the model to measure", str),
):
    "Write the folders of emoji, or measure a model of them"
    dict(folders=make_folders, measure=measure)[task](Path(source))
