"Data of one's own by commands, as a user runs them: in, trained on, and out again."
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion import load_data, load_pretrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "Gray rings, bars and dots by class, wide color images, arrays, and a table of people"
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16] - 7.5
    shapes = dict(ring=lambda i: abs(np.hypot(x, y) - 3 - i % 4) < 1,
                  bar=lambda i: abs(x - i % 7 + 3) < 1.5,
                  dot=lambda i: np.hypot(x, y - i % 5) < 3)
    for name, draw in shapes.items():
        (folder/"shapes3"/name).mkdir(parents=True)
        for i in range(12):
            pixels = (255 * draw(i) * random.uniform(0.9, 1)).astype(np.uint8)
            Image.fromarray(pixels).save(folder/"shapes3"/name/f"{i}.png")
    (folder/"wide").mkdir()
    for i in range(6):
        pixels = random.integers(0, 255, (30, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder/"wide"/f"{i}.jpg")
    images = random.integers(0, 255, (24, 12, 12, 3), dtype=np.uint8)
    np.savez(folder/"images.npz", images=images, labels=["low", "high"] * 12)
    people = random.normal([170, 70], [10, 12], (400, 2))
    with open(folder/"points.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["height", "weight"])
        rows.writerows(people.round(3))
    return folder


def run(folder, line):
    "What a command line prints, if it succeeds"
    command, *options = line.split()
    program = Path(sys.executable).with_name(command)
    done = subprocess.run([program, *options], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_class_folders_of_gray_images(folder):
    said = run(folder, "ddpm_train shapes3/ --epochs 2 --channels 8")
    assert "3 classes: bar, dot, ring" in said and "epoch 2/2: loss" in said
    model = load_pretrained(folder/"runs"/"shapes3.safetensors")
    assert model.data_shape == (1, 16, 16) and model.class_names == ["bar", "dot", "ring"]
    run(folder, "ddpm_sample runs/shapes3.safetensors --labels ring,bar --n 6 --out s.npz")
    with np.load(folder/"s.npz") as arrays:
        assert arrays["images"].shape == (6, 1, 16, 16) and arrays["images"].dtype == np.uint8
        assert arrays["labels"].tolist() == [3, 1] * 3
        assert arrays["class_names"].tolist() == ["bar", "dot", "ring"]
    drawn = load_data(folder/"s.npz")
    assert drawn.labels.tolist() == [3, 1] * 3 and drawn.class_names == model.class_names
    run(folder, "ddpm_sample runs/shapes3.safetensors --n 6 --out again")
    assert load_data(folder/"again").class_names == ["bar", "dot", "ring"]


def test_more_epochs_go_on(folder):
    run(folder, "ddpm_train shapes3/ --epochs 2 --channels 8 --out runs/more.safetensors")
    before = (folder/"runs"/"more-history.csv").read_text()
    run(folder, "ddpm_train shapes3/ --epochs 3 --channels 8 --out runs/more.safetensors")
    after = (folder/"runs"/"more-history.csv").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 4
    card = load_pretrained(folder/"runs"/"more.safetensors").card
    assert card["resumed"] == "after 2 of 2 epochs"


def test_a_table_of_points_in_its_own_scale(folder):
    run(folder, "ddpm_train points.csv --epochs 300 --quiet")
    run(folder, "ddpm_sample runs/points.safetensors --n 4000 --out s.csv")
    with open(folder/"s.csv", newline="") as file: header, *rows = csv.reader(file)
    assert header == ["height", "weight"] and len(rows) == 4000
    drawn, real = np.array(rows, float), np.loadtxt(folder/"points.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(drawn.mean(0), real.mean(0), rtol=0.05)
    np.testing.assert_allclose(drawn.std(0), real.std(0), rtol=0.05)


def test_arrays_with_labels_as_text(folder):
    run(folder, "ddpm_train images.npz --epochs 1 --channels 8")
    model = load_pretrained(folder/"runs"/"images.safetensors")
    assert model.class_names == ["high", "low"] and model.data_shape == (3, 12, 12)


def test_images_that_are_wider_than_high(folder):
    run(folder, "ddpm_train wide/ --size 12x20 --epochs 1 --channels 8")
    assert load_pretrained(folder/"runs"/"wide.safetensors").data_shape == (3, 12, 20)
