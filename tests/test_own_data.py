"Data of one's own by commands, as a user runs them: in, trained on, and out again."
import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denoising_diffusion import load_data, load_pretrained, measuring


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


# What `ddpm_measure` says of a detector

def discs(count, seed, channels=3, fault=0):
    "Images of a filled disc at a random place; `fault` is added to every second column"
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    images = np.full((count, 16, 16, channels), 255)
    for image in images:
        row, column = random.uniform(5, 11, 2)
        image[np.hypot(y - row, x - column) < random.uniform(2, 5)] = random.integers(
            0, 200, channels)
    images[:, :, ::2] += fault
    return images.clip(0, 255)


def measure(folder, drawn, real, monkeypatch, capsys, **options):
    "The result of `ddpm_measure`, what it prints, and what it warns of"
    monkeypatch.chdir(folder)
    for name, images in dict(drawn=drawn, real=real).items(): np.save(f"{name}.npy", images)
    options = dict(dict(encoder="pokemon-1", epochs=6, quiet=True), **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = measuring.ddpm_measure("drawn.npy", "real.npy", **options)
    return result, capsys.readouterr().out, "\n".join(str(each.message) for each in caught)


@pytest.mark.parametrize("channels, scale", [(3, None), (1, None), (3, 1/255), (1, 1/255)])
def test_a_detector_finds_a_fault(channels, scale, tmp_path, monkeypatch, capsys):
    "In color and gray, in bytes and floats in [0, 1]; the file holds what is returned"
    def make(*args, **kwargs):
        images = discs(*args, channels=channels, **kwargs)
        return images.astype(np.uint8) if scale is None else (images * scale).astype(np.float32)
    real = make(400, 0)
    found = {}
    for fault in (0, -6):
        result, said, warned = measure(
            tmp_path, make(300, 1, fault=fault), real, monkeypatch, capsys, out="found.json")
        found[fault] = result["detector"]
        assert f", detector {result['detector']:.2f} (0.5 is perfect): 300 images" in said
        assert json.loads((tmp_path/"found.json").read_text()) == result
        assert "detector" not in warned and said.count("\n") == 1
        if channels == 1: assert result["statistics"] is None
        else: assert {*result["statistics"]} == {"drawn", "real"}
    assert abs(found[0] - 0.5) < 0.2 and found[-6] > 0.9  # by chance 0.5 ± 0.05


def test_copies_are_not_known_by_heart(tmp_path, monkeypatch, capsys):
    "Drawn images that equal real ones: none that is tested with was trained on, on either side"
    seen = []
    def watched(function, sets):
        def call(*args, **options):
            seen.append([{image.numpy().tobytes() for image in images} for images in args[sets]])
            return function(*args, **options)
        return call
    for name, sets in dict(train_detector=slice(2), detector_auc=slice(1, 3)).items():
        monkeypatch.setattr(measuring, name, watched(getattr(measuring, name), sets))
    real = discs(300, 0).astype(np.uint8)
    result, _, _ = measure(tmp_path, real[::-1], real, monkeypatch, capsys)
    trained, tested = seen
    assert [len(images) for images in tested] == [60, 60] and min(map(len, trained)) >= 180
    assert not (trained[0] | trained[1]) & (tested[0] | tested[1])
    assert abs(result["detector"] - 0.5) < 0.2


@pytest.mark.parametrize("number, number_real, held", [
    (40, 300, "8 drawn and 60 real"), (300, 240, "60 drawn and 48 real")])
def test_few_images_train_no_detector(number, number_real, held, tmp_path, monkeypatch, capsys):
    drawn, real = (discs(n, i).astype(np.uint8) for i, n in enumerate((number, number_real)))
    result, said, warned = measure(tmp_path, drawn, real, monkeypatch, capsys, out="few.json")
    assert result["detector"] is None and "detector" not in said
    assert json.loads((tmp_path/"few.json").read_text())["detector"] is None
    assert f"{held} images are held out, and 50 different ones of each are needed" in warned


def test_equal_images_train_no_detector(tmp_path, monkeypatch, capsys):
    drawn, real = np.zeros((300, 16, 16, 3), np.uint8), discs(300, 0).astype(np.uint8)
    result, _, warned = measure(tmp_path, drawn, real, monkeypatch, capsys)
    assert result["detector"] is None and "0 drawn and 60 real images are held out" in warned


def test_a_detector_follows_the_seed(tmp_path, monkeypatch, capsys):
    drawn, real = (discs(260, i).astype(np.uint8) for i in (1, 2))
    found = [measure(tmp_path, drawn, real, monkeypatch, capsys, seed=seed, epochs=1)[0]["detector"]
             for seed in (5, 5, 6)]
    assert found[0] == found[1] != found[2]
