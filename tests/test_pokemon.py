"""From a folder of images to samples and their measures, with a network small enough for a minute,
and the experiments with Pokémon, run small on made-up creatures"""
import colorsys
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import load_tool
from PIL import Image, ImageDraw

from denoising_diffusion import (
    color_statistics, ddpm_sample, ddpm_train, image_grid, load_data, load_pretrained,
    memorization_rate, picture_distance, precision_recall, read_folder, sample, train_encoder)
from denoising_diffusion.checkpoints import read_checkpoint

RAW = Path(os.environ.get("DENOISING_DIFFUSION_DATA", "nowhere")).expanduser()/"pokemon_raw"
NO_IMAGES = pytest.mark.skipif(not RAW.is_dir(), reason="the images are not here")
damages, pokemon, pokemon_data = map(load_tool, ("damages", "pokemon", "pokemon_data"))


def draw_creature(side: int, color: tuple[int, ...]) -> Image.Image:
    "A blob with eyes on a transparent background"
    image = Image.new("RGBA", (side, side + 10), (0, 0, 0, 0))
    draw, black = ImageDraw.Draw(image), (0, 0, 0, 255)
    draw.ellipse((4, 6, side - 5, side - 2), fill=(*color, 255), outline=black)
    for x in (0.35 * side, 0.65 * side):
        draw.ellipse((x - 2, side * 0.4, x + 2, side * 0.4 + 5), fill=black)
    return image


def make_creatures(folder: Path, n: int = 60) -> Path:
    "n creatures of many sizes and colors"
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(n):
        side, color = int(rng.integers(30, 90)), tuple(int(c) for c in rng.integers(40, 220, 3))
        draw_creature(side, color).save(folder/f"creature_{i:02}.png")
    return folder


# The whole pipeline

@pytest.fixture(params=["made", pytest.param("raw", marks=NO_IMAGES)], scope="module")
def folder(request, tmp_path_factory):
    return RAW if request.param == "raw" else make_creatures(tmp_path_factory.mktemp("a")/"made")


@pytest.fixture(scope="module")
def images(folder) -> torch.Tensor:
    found = read_folder(folder, 48, crop=True)
    assert len(found.paths) == 60 and not found.skipped
    return found.images


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory) -> Path:
    "A model after 40 epochs of `ddpm_train`"
    path = tmp_path_factory.mktemp("model")/"tiny.safetensors"
    ddpm_train(str(folder), out=str(path), epochs=40, size=48, channels=8, crop=True, quiet=True,
               device="cpu")
    return path


@pytest.fixture(scope="module")
def drawn(model) -> torch.Tensor:
    return sample(load_pretrained(model), 30, sampling_timesteps=10, progress=False)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(30, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def encoder(images): return train_encoder(images, num_epochs=10, progress=False)


def test_subjects_are_cropped_and_centered(images):
    assert images.shape == (60, 3, 48, 48)
    subject = (images < 240).any(1)
    for axis in (1, 2):
        inside = subject.any(axis).long()
        before, behind = inside.argmax(1), inside.flip(1).argmax(1)
        assert (before - behind).abs().max() <= 3  # in the middle
    margins = [subject.any(axis).long() for axis in (1, 2)]
    least = torch.stack([torch.minimum(m.argmax(1), m.flip(1).argmax(1)) for m in margins]).amin(0)
    assert (least <= 4).all()  # and as large as it can be


def test_the_model_is_trained_and_drawn_from(model, tmp_path):
    trained, image = load_pretrained(model), tmp_path/"drawn.png"
    assert (trained.data_shape, trained.prediction) == ((3, 48, 48), "start")
    assert trained.card["epochs"] == 40
    assert trained.card["sampling"] == dict(sampler="unipc", steps=25)
    grids = sorted(path.name for path in model.with_name("tiny-epochs").glob("*.png"))
    assert grids[-1] == "0040.png"  # of the last epoch; few images have one for many epochs
    ddpm_sample(str(model), n=4, sampler="unipc", steps=5, out=str(image), quiet=True, device="cpu")
    assert Image.open(image).size[0] > 96


def test_samples_are_nearer_than_noise(images, drawn, noise, encoder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are few
        sets = (images[:45], drawn, noise)
        real, near, far = (picture_distance(x, images, encoder) for x in sets)
    assert real < near < far
    features = encoder.features(images)
    assert precision_recall(encoder.features(images[:45]), features)[0] == 1
    assert precision_recall(encoder.features(noise), features)[0] == 0


@pytest.mark.parametrize("way", ["pixels", "features"])
def test_planted_copies_are_found(images, drawn, encoder, way):
    "The ten, and no other"
    train_images, held_out = images[:45], images[45:]
    planted = torch.cat([drawn, images[:10] / 127.5 - 1])
    with_copies, without = (
        memorization_rate(x, train_images, held_out, encoder, quantile=0.1)[way]
        for x in (planted, drawn))
    assert with_copies * 40 == pytest.approx(10 + without * 30)


def test_samples_have_more_background_than_noise(images, drawn, noise):
    white = [color_statistics(x)["ground"] for x in (noise, drawn, images)]
    assert white[0] < white[1] < white[2]


# The labels

def draw_circle(color: tuple[int, ...], ground: int = 255) -> torch.Tensor:  # uint8 (3, 48, 48)
    image = Image.new("RGB", (48, 48), (ground,) * 3)
    ImageDraw.Draw(image).ellipse((10, 10, 38, 38), fill=color)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("color, name", [
    ((220, 30, 30), "red"), ((230, 120, 20), "orange"), ((240, 220, 40), "yellow"),
    ((40, 160, 60), "green"), ((40, 90, 220), "blue"), ((140, 40, 200), "purple"),
    ((240, 120, 180), "purple"), ((90, 90, 95), "gray"), ((205, 205, 200), "white")])
def test_colors_are_those_of_the_subject(color, name):
    "However white the ground is, and in images of any size"
    for ground in (255, 242):
        small = draw_circle(color, ground)
        for image in (small, small.repeat_interleave(2, 1)):
            assert pokemon_data.COLORS[pokemon_data.color_of(image[None])[0]] == name


def test_the_most_frequent_hue_decides():
    "And not the mean hue, which would be green here; in any number of images"
    image = draw_circle((220, 30, 30))
    image[:, 20:] = draw_circle((40, 90, 220))[:, 20:]
    many = image.expand(501, -1, -1, -1)
    assert {pokemon_data.COLORS[i] for i in pokemon_data.color_of(many)} == {"blue"}
    assert pokemon_data.color_of(many[:0]).shape == (0,)


def test_hues_are_those_of_colorsys():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)) / 255
    pixels[0, 0, :3] = ((0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5))
    found = np.stack(pokemon_data.hues(pixels), -1).reshape(-1, 3)
    expected = [colorsys.rgb_to_hsv(*pixel) for pixel in pixels.reshape(-1, 3)]
    np.testing.assert_allclose(found, np.array(expected) * (360, 1, 1), atol=1e-9)


@pytest.fixture
def creatures() -> "pokemon_data.Pokemon":
    "One of each label, twice"
    colors = ((220, 30, 30), (230, 120, 20), (240, 220, 40), (40, 160, 60), (40, 90, 220),
              (140, 40, 200), (90, 90, 95), (205, 205, 200))
    images = torch.stack([draw_circle(color) for color in colors]).repeat(6, 1, 1, 1)
    source = np.repeat(["xy-f", "rs", "jirfoux-artwork", "usum", "bw-f", "official-artwork"], 8)
    return pokemon_data.Pokemon(images, source, np.arange(48), source)


def test_labelled_folders_are_read_back(creatures, monkeypatch, tmp_path):
    "With the same names in both; their numbers are another order of the same labels"
    monkeypatch.setattr(pokemon_data, "RUNS", tmp_path)
    numbers = pokemon_data.labels(creatures)
    assert numbers.tolist() == [*range(1, 25)] * 2
    held_out = np.arange(48) >= 24
    for folder in pokemon_data.write_folders(creatures, held_out):
        found = load_data(folder, 48)
        assert found.class_names == sorted(pokemon_data.CLASS_NAMES)
        for image, label in zip(found.x, found.labels):
            i = pokemon_data.CLASS_NAMES.index(found.class_names[label - 1])
            assert torch.equal(image, creatures.images[i])


@pytest.mark.skipif(not (RAW.parent/"pokemon_64.npz").is_file(), reason="the images are not here")
def test_all_labels_are_in_both_parts():
    known = pokemon_data.load_images()
    numbers = pokemon_data.labels(known)
    held_out = pokemon_data.split_species(known.dex_id)
    for part in (numbers[held_out], numbers[~held_out]):
        assert set(part) == {*range(1, 25)}


# The experiments

def test_damages_grow():
    "More of each kind changes an image more, and nothing changes its shape"
    x = torch.ones(8, 3, 16, 16)
    x[..., 3:12, 5:11] = torch.linspace(-1, 0.8, 8).view(8, 1, 1, 1)
    x[:, 0, 6:9, 6:8] = 0.9
    for name, levels in damages.damages(x).items():
        changed = [(level - x).abs().mean().item() for level in levels]
        assert all(level.shape == x.shape for level in levels), name
        assert 0 < changed[0] < changed[1] < changed[2], name


def test_blur_spreads_a_point_as_a_gaussian():
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    found = damages.blurred(point, 2.0)[0, 0]
    places = torch.arange(33) - 16
    assert found.sum().item() == pytest.approx(1, abs=1e-4)
    for axis in (0, 1):
        variance = (found.sum(axis) * places**2).sum().item()
        assert variance == pytest.approx(4, rel=0.01)


@pytest.fixture
def runs(monkeypatch, tmp_path) -> Path:
    "A folder for what the experiment makes"
    monkeypatch.setattr(pokemon, "RUNS", tmp_path)
    monkeypatch.setattr(pokemon, "FOUND", tmp_path/"pokemon.json")
    return tmp_path


def test_answers_are_scored(runs):
    "Of three quarters drawn, all were taken for drawn; of the others, half for real"
    key = [[1] * 6 + [0, 0]] * 8
    (runs/"sheet_5.json").write_text(json.dumps(dict(drawn=key)))
    pokemon.keep_answers(5, "DDDDDDDR" * 8)
    found = json.loads((runs/"pokemon.json").read_text(encoding="utf-8"))
    assert found == {"sheet 5": dict(told_apart=7 / 8, drawn_known=1.0, real_known=0.5)}
    for given in ("DR", "X" * 64):
        with pytest.raises(SystemExit, match="64 letters"): pokemon.keep_answers(5, given)


def test_tiles_of_a_training_are_read(tmp_path, images):
    image_grid(images[:16] / 127.5 - 1, 4).save(tmp_path/"0001.png")
    assert torch.equal(pokemon.read_tiles(tmp_path/"0001.png", 8), images[:8])
    assert pokemon.stages(tmp_path, (1, 1)).height < 2 * 60


@pytest.mark.parametrize("name, prediction, time_weights", [
    ("start", "start", None), ("v, min-SNR times", "v", pokemon.V_TIMES.tolist())])
def test_the_ablation_trains_as_the_recipe_does(
        runs, monkeypatch, images, name, prediction, time_weights):
    "With one change, which here is the prediction, and for v the time weights"
    make_creatures(runs/"train", 20)
    pokemon.recipe_settings.cache_clear()
    monkeypatch.setattr(pokemon, "parts", lambda: (images[:32], images[32:]))
    diffusion = pokemon.ablated(name, epochs=1, channels=8)
    pokemon.recipe_settings.cache_clear()
    settings = read_checkpoint(next(runs.glob("*.pt")))["settings"]
    assert (settings["batch_size"], settings["lr"]) == (32, 5e-4)
    assert (settings["augment"], diffusion.prediction) == ("random_flip", prediction)
    assert settings["time_weights"] == pytest.approx(time_weights)


def test_measures_are_named_as_the_results(root):
    "But for those of the trainings and of the sheets, which are not measured by name"
    found = json.loads((root/"nbs"/"results"/"pokemon.json").read_text(encoding="utf-8"))
    named = {name for name in found if not name.endswith("training") and "sheet" not in name}
    assert named == set(pokemon.measures())
