"""The films of `54_fields` in a real browser: what the slider shows at each place.

Each film is a page of its own, offline. Pixels are read from what the browser has decoded, so a
test fails if the slider, the frame, or what the frame is drawn from is cut. Without Chromium the
tests are skipped."""
import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from test_browser import chromium as chromium  # a fixture
from test_browser import expected, seen, watched

from denoising_diffusion import (
    ConditionalMLP, GaussianDiffusion, TrainingRecorder, compare_film, density_film, field_film,
    logsnr_beta_schedule, make_spiral, tilt_film, train)
from denoising_diffusion.pages import Film

BLUE, SILVER = (0x3b, 0x6f, 0xb6), (0x9a, 0xa1, 0xab)
SOFT = (0x9d, 0xb7, 0xda)  # half blue, the arrows of the last frame
PALE = (0xec, 0xbb, 0x95)  # an old part of a trail, half orange
PIXELS = """async image => {
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL().split(",")[1];}"""


def trained() -> Film:
    "The film of a short training"
    torch.manual_seed(0)
    network = ConditionalMLP(10, 16)
    diffusion = GaussianDiffusion(logsnr_beta_schedule(10), 2, network, prediction="v")
    recorder = TrainingRecorder(n=200)
    train(diffusion, make_spiral(1000), num_epochs=10, lr=1e-2, seed=0, progress=False,
          after_epoch=recorder)
    return recorder.film()


FILMS: dict[str, Callable[[], Film]] = {
    "field": lambda: field_film("spiral", num_frames=5),
    "known": lambda: field_film(0.9 * make_spiral(200), num_frames=3),
    "density": lambda: density_film("spiral", num_frames=5, n=200),
    "compare": lambda: compare_film("shapes", "ddpm", "unipc", n=100, num_frames=3),
    "digits": lambda: compare_film(
        "numbers_guided", "ddim", dict(rule="ddpm", sampling_timesteps=4), n=1, num_frames=3),
    "training": trained,
    "tilt": lambda: tilt_film("shapes", "moons", (0, 1, 8), n=200),
}


@pytest.fixture(scope="module")
def pictures(chromium, tmp_path_factory):
    "What the browser shows of a film, from the first place of the slider to the last"
    folder, kept = tmp_path_factory.mktemp("films"), {}

    def find(name: str) -> list[np.ndarray]:
        if name not in kept: kept[name] = shown(chromium, FILMS[name](), folder/f"{name}.html")
        return kept[name]
    return find


def shown(chromium, film: Film, path) -> list[np.ndarray]:
    "Go through a film by the keyboard, at the width of a phone"
    page, errors = watched(chromium, viewport=dict(width=390, height=700))
    page.context.set_offline(True)
    page.goto(film.save(path).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    frames = []
    for i in range(len(film.pictures)):
        if i: page.keyboard.press("ArrowRight")
        assert seen(page) == expected(film, i)
        png = base64.b64decode(page.locator("img").evaluate(PIXELS))
        frames.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int))
    assert errors == []
    page.close()
    return frames


def halves(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    "The two panels of a frame"
    return frame[10:290, 50:336], frame[10:290, 356:642]


def count(frame: np.ndarray, color: tuple[int, int, int]) -> int:
    "How many pixels have just this color"
    return int((frame == color).all(-1).sum())


@pytest.mark.parametrize("name", ["field", "known"])
def test_arrows_fade_and_trails_grow(pictures, name):
    frames = pictures(name)
    arrows = [count(frame, BLUE) for frame in frames]
    trails = [count(frame, PALE) for frame in frames]
    assert arrows[0] > 300 and arrows[-1] == 0  # at t = 0 there is no noise to take off
    assert 0 < arrows[-2] < arrows[0]
    assert count(frames[-1], SOFT) > 150  # the arrows of t = 1 stay, so a still film says something
    assert trails[-1] > 1000 and trails[-1] > 3 * trails[0]


def test_points_and_density_shrink_together(pictures):
    frames = pictures("density")
    ink = [[(panel < 200).any(-1).mean() for panel in halves(frame)] for frame in frames]
    wide = [np.argwhere((halves(frame)[0] < 200).any(-1)).std() for frame in frames]
    dense = [share for _, share in ink]
    assert dense[0] > 0.5 > 0.15 > dense[-1] > 0 and dense == sorted(dense, reverse=True)
    assert wide[0] > 1.2 * wide[-1]
    assert 0.02 < ink[0][0] < 0.05  # 200 points, and no density beneath them


@pytest.mark.parametrize("name", ["compare", "digits"])
def test_two_samplers_begin_alike_and_end_apart(pictures, name):
    frames = pictures(name)
    pairs = [halves(frame) for frame in frames]
    if name == "digits":
        side = (frames[0].shape[1] - 6) // 2
        pairs = [(frame[:, :side], frame[:, -side:]) for frame in frames]
    same = [(left == right).all() for left, right in pairs]
    assert same == [True, False, False]
    assert all((frame != frames[0]).any() for frame in frames[1:])


def test_a_training_changes_samples_and_field(pictures):
    frames = [halves(frame) for frame in pictures("training")]
    assert len(frames) == 8  # after 1, 2, 3, 4, 5, 6, 8 and 10 epochs
    for panel in (0, 1): assert (frames[0][panel] != frames[-1][panel]).mean() > 0.02
    assert min((field < 200).any(-1).mean() for _, field in frames) > 0.01


def test_guidance_tilts_the_blue_arrows_away_from_the_gray(pictures):
    frames = [halves(frame) for frame in pictures("tilt")]
    gray = [count(field, SILVER) for _, field in frames]
    assert gray[0] < gray[1] < gray[2] and gray[2] > 3 * max(gray[0], 30)
    for i in (1, 2): assert (frames[i][0] != frames[i - 1][0]).any()
