"""The commands in tools/ that make figures and weights, run small, on digits that are only noise and pictures without a subject."""
import json

import numpy as np
import pytest
import torch
from conftest import load_tool

from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule
from denoising_diffusion.frechet import load_judge


@pytest.fixture
def digits(monkeypatch):
    "Instead of MNIST: 300 pictures of noise, with labels in turn"
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(300) % 10 + 1
    def use(tool): monkeypatch.setattr(tool, "load_mnist", lambda split: (images, labels))
    use.images, use.labels = images, labels
    return use


def test_min_snr_weights():
    "For v, which weights an error of x̂_0 by SNR + 1: SNR where the ratio is at most γ, and γ above"
    betas = cosine_beta_schedule(100)
    weights = load_tool("ablation").min_snr_weights(betas, gamma=5.0)
    diffusion = GaussianDiffusion(betas, 1, None)
    for t in (1, 10, 30, 50, 100):
        signal, noise = diffusion.level(t, torch.zeros(1, 1))
        snr = (signal / noise) ** 2
        assert weights[t - 1].item() == pytest.approx(min(snr, 5) / (snr + 1), rel=1e-9)


def test_each_change_changes_one_thing():
    "But for the original recipe, which is another recipe altogether; with the prediction and the schedule go their times"
    tool = load_tool("ablation")
    changed = {name: {k for k in options if k != "time_weights"} or set(options) for name, options in tool.CHANGES.items()}
    assert changed.pop("the recipe") == set()
    assert len(changed.pop("the original recipe")) > 3
    assert {len(names) for names in changed.values()} == {1}
    base = dict(tool.RECIPE, betas=tool.BETAS)
    same = [(name, k) for name, options in tool.CHANGES.items() for k, value in options.items() if k in base and repr(value) == repr(base[k])]
    assert same == []


def test_the_recipe_is_that_of_the_package(monkeypatch):
    tool, cli = load_tool("ablation"), __import__("denoising_diffusion.cli").cli
    monkeypatch.setattr(cli, "load_mnist", lambda split: (torch.zeros(100, 1, 28, 28, dtype=torch.uint8), torch.ones(100, dtype=torch.long)))
    recipe = cli.numbers_recipe()
    ours = dict(tool.RECIPE, prediction=None, dtype=None)
    assert recipe.diffusion.prediction == tool.RECIPE["prediction"] and recipe.settings["num_epochs"] == 15
    for name, value in recipe.settings.items():
        if name != "num_epochs": assert torch.equal(torch.as_tensor(value), torch.as_tensor(ours[name]))


@pytest.mark.parametrize("change", ["the recipe", "the original recipe", "T = 1000"])
def test_ablation_runs(digits, monkeypatch, change):
    tool = load_tool("ablation")
    digits(tool)
    monkeypatch.setitem(tool.RECIPE, "dtype", None)  # half precision is very slow where the processor doesn't know it
    monkeypatch.setattr(tool, "NUM_SAMPLES", 20)
    monkeypatch.setattr(tool, "STEPS", 2)
    first, again = (tool.run(change, 1, 8, 1, 300, 0) for _ in range(2))
    assert first["fld"] > 10 and first["training_loss"] > 0
    assert {k: v for k, v in first.items() if k != "training_seconds"} == {k: v for k, v in again.items() if k != "training_seconds"}
    assert tool.run(change, 2, 8, 1, 300, 0)["fld"] != first["fld"]


def test_measures_have_what_the_notebook_shows(digits, monkeypatch, tmp_path):
    tool = load_tool("measures")
    digits(tool)
    monkeypatch.setattr(tool, "RESULTS", tmp_path)
    options = tool.model("numbers_guided", 40, steps=2, guidance=1.5, half=False)
    found = json.loads(json.dumps(tool.measure("numbers_guided, few", options)))
    assert (found["n"], found["evaluations"], found["guidance_scale"], found["eta"]) == (40, 4, 1.5, 1.0)
    assert set(found["fld"]) == {"mnist-1", "mnist-1-check"} and found["fld"]["mnist-1"] != found["fld"]["mnist-1-check"]
    assert sum(found["read"]) == sum(found["certainty"]) == sum(map(sum, found["confusion"])) == 40
    assert not list(tmp_path.iterdir())  # pictures are made of the full 10,000 only


def test_compared_finds_a_copy(digits, monkeypatch, tmp_path):
    "A drawn digit that is a training digit is nearer than any digit held back"
    tool = load_tool("measures")
    digits(tool)
    monkeypatch.setattr(tool, "RESULTS", tmp_path)
    train, _ = tool.split_validation(digits.images, digits.labels, fraction=0.1, seed=0)
    found = tool.compared(train[0][:20].float() / 127.5 - 1, torch.arange(20) % 10 + 1)["nearest"]
    assert found["drawn"] < 1e-2 < found["held_out"] and found["copies"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["means.png", "nearest.png"]


def test_noise_has_no_labels_but_is_read_all_the_same():
    tool = load_tool("measures")
    noise, labels = tool.real_digits("noise")
    assert (tuple(noise.shape), labels) == ((10_000, 1, 28, 28), None)
    found = tool.judged(noise[:600], None)
    top = load_judge().see(noise[:600])[1].amax(1)
    assert found["certainty"][-1] == int((top >= 0.95).sum()) and "accuracy" not in found


def test_turns_are_taken():
    "Each run once to warm up, then one after the other; the ratio is that of the turns"
    tool, order = load_tool("benchmarks"), []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    found = tool.compare(runs, 10, "items_per_s", "a", turns=3)
    assert order == list("ab" * 4)
    assert found["a"]["times"] == 1 and set(found["b"]) == {"items_per_s", "times"}


@pytest.mark.parametrize("part", ["loops", "sampling", "training", "profile"])
def test_benchmarks_run(monkeypatch, part):
    tool = load_tool("benchmarks")
    for name, value in dict(TURNS=1, STEPS=2, BATCH=2, BATCHES=2).items(): monkeypatch.setattr(tool, name, value)
    monkeypatch.setattr(tool, "digits_unet", lambda T=2, width=8, made=tool.digits_unet: made(T, width))
    found = tool.rounded(getattr(tool, part)())
    assert json.loads(json.dumps(found)) == found and found


def test_the_peers_are_as_large_as_is_said():
    tool = load_tool("benchmarks")
    assert tool.parameters(tool.diffusers_unet()) == 686_769
    assert tool.parameters(tool.digits_unet().denoise_fn) == 602_705
    theirs = tool.pytorch_unet()
    assert theirs is None or tool.parameters(theirs) == 316_029


def test_pokemon_are_cropped_to_their_subject():
    tool = load_tool("pokemon")
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[10:34, 40:52] = 0  # 24 high, 12 wide
    found = 255 - tool.preprocess(picture, 48)[..., 0].astype(int) > 128
    assert found.any(0).sum() == pytest.approx(22, abs=1) and found.any(1).sum() == pytest.approx(44, abs=1)  # 4% of margin on each side
    assert [round(places.mean()) for places in found.nonzero()] == [24, 24]
    assert (tool.preprocess(np.full((64, 64, 3), 250, np.uint8), 16) >= 250).all()  # nothing but ground is left as it is


def test_pokemon_are_split_by_species():
    "A form goes with its species, the same seed gives the same split, and a fraction is one of the species"
    tool = load_tool("pokemon")
    dex_id = np.concatenate([np.arange(1, 808).repeat(2), np.arange(10_001, 10_157)])
    kinds = tool.species(dex_id)
    assert dict(zip(dex_id, kinds))[10_039] == 115 and dict(zip(dex_id, kinds))[10_156] == 800 and kinds.max() == 807  # mega Kangaskhan; Necrozma
    out = tool.split_species(dex_id)
    assert len(set(kinds[out])) == 81 and not set(kinds[out]) & set(kinds[~out])
    assert (out == tool.split_species(dex_id)).all() and (out != tool.split_species(dex_id, seed=1)).any()
    with pytest.raises(ValueError, match="form 10999 is not known"): tool.species(np.array([10_999]))


def test_pokemon_without_their_file(monkeypatch, tmp_path):
    tool = load_tool("pokemon")
    monkeypatch.setattr(tool, "RUNS", tmp_path)
    monkeypatch.setenv("DENOISING_DIFFUSION_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="set DENOISING_DIFFUSION_DATA to the folder that holds it"): tool.load_pictures()
