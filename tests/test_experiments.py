"""The experiments, run small, on digits that are only noise and pictures without a subject."""
import json

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool

from denoising_diffusion import (
    GaussianDiffusion, cosine_beta_schedule, load_pretrained, split_validation)
from denoising_diffusion.frechet import load_reference

results, digits = load_tool("results"), load_tool("digits")
ablation, benchmarks = load_tool("ablation"), load_tool("benchmarks")


@pytest.fixture
def noise_digits(monkeypatch):
    "Instead of MNIST: 300 images of noise, with labels in turn"
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.arange(300) % 10 + 1
    for module in ("denoising_diffusion.recipes", "digits"):
        monkeypatch.setattr(f"{module}.load_mnist", lambda split: (images, labels))
    return images, labels


# Results

def test_results_have_a_line_for_each_row(tmp_path):
    path, runs = tmp_path/"a.json", [dict(a=1), dict(a=2)]
    results.write_results(path, dict(runs=runs, about={"η": 1}, empty=[]))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == ["{", '"runs": [', '{"a": 1},', '{"a": 2}', "],", '"about": {"η": 1},',
                     '"empty": []', "}"]
    assert results.read_results(path) == dict(runs=runs, about={"η": 1}, empty=[])
    assert results.read_results(tmp_path/"none.json") == {}


def test_results_are_added_in_order(tmp_path):
    path = tmp_path/"a.json"
    for name in ("c", "other", "a", "c"): results.add_result(path, name, len(name), order="abc")
    assert list(results.read_results(path).items()) == [("a", 1), ("c", 1), ("other", 5)]


@pytest.mark.parametrize("name", ["ablation", "benchmarks", "numbers", "pokemon"])
def test_committed_results_are_written_so(name):
    path = ROOT/"nbs"/"results"/f"{name}.json"
    assert results.to_text(results.read_results(path)) == path.read_text(encoding="utf-8")


# The ablation

def test_min_snr_weights():
    "For v, which weights an error of x̂_0 by SNR + 1: SNR where the ratio is at most γ, else γ"
    betas = cosine_beta_schedule(100)
    weights = ablation.min_snr_weights(betas, gamma=5.0)
    diffusion = GaussianDiffusion(betas, 1, None)
    for t in (1, 10, 30, 50, 100):
        signal, noise = diffusion.level(t, torch.zeros(1, 1))
        snr = (signal / noise) ** 2
        assert weights[t - 1].item() == pytest.approx(min(snr, 5) / (snr + 1), rel=1e-9)


def test_each_change_changes_one_thing(noise_digits):
    "But for the original recipe, which is another recipe altogether; with betas go their times"
    _, recipe = ablation.recipe_options()
    changes = dict(ablation.CHANGES)
    assert changes.pop("the recipe") == {}
    assert len(changes.pop("the original recipe")) > 3
    for name, options in changes.items():
        assert len(options.keys() - {"time_weights"} or options) == 1, name
        for option in options.keys() & recipe.keys():
            assert repr(options[option]) != repr(recipe[option]), name


@pytest.mark.parametrize("change", ["the recipe", "the original recipe", "T = 1000"])
def test_ablation_runs(noise_digits, monkeypatch, change):
    monkeypatch.setattr(ablation, "DTYPE", None)  # bfloat16 is very slow on some processors
    monkeypatch.setattr(ablation, "NUM_SAMPLES", 20)
    monkeypatch.setattr(ablation, "STEPS", 2)
    jobs = [ablation.Job(change, seed, channels=8, epochs=1, digits=270) for seed in (1, 1, 2)]
    first, again, other = (ablation.run(job) for job in jobs)
    for run in (first, again, other): assert run.pop("training_seconds") >= 0
    assert first == again and first["fld"] != other["fld"]
    assert first["fld"] > 10 and first["training_loss"] > 0
    assert [ablation.is_done(jobs[0], [run]) for run in (first, other)] == [True, False]


# The digits

def as_asked(measure) -> dict:
    "The record of a measure: its options, and what they leave out by the model's card"
    given = {name: value for name, value in vars(measure.options).items() if value is not None}
    if "guidance" in given: given["guidance_scale"] = given.pop("guidance")
    card = load_pretrained(measure.source).card
    known = dict(sampler="ddpm", steps=100, eta=0.0, spacing=1.0)
    if "sampler" not in given: known |= card["sampling"]
    record = known | dict(guidance_scale=card.get("guidance_scale", 1.0)) | given
    each = 1 if record["guidance_scale"] == 1 else 2
    if record["sampler"] in ("ddpm", "heun"): del record["eta"]
    twice = record["steps"] - 1 if record["sampler"] == "heun" else 0
    return record | dict(evaluations=each * (record["steps"] + twice))


def test_what_is_measured_is_what_is_committed():
    committed = results.read_results(ROOT/"nbs"/"results"/"numbers.json")
    measures = digits.measures()
    assert list(committed) == list(measures)
    for name, measure in measures.items():
        row = committed[name]
        assert (row["source"], row["n"]) == (measure.source, measure.n), name
        if measure.options is None: continue
        asked = as_asked(measure)
        if "seconds" not in row: del asked["bf16"]  # an earlier row, see digits.py
        assert {option: row.get(option) for option in asked} == asked, name
    timed = [name for name in digits.tables() if "seconds" in committed[name]]
    assert timed[:3] == ["numbers_guided", "numbers", "numbers_no_attention"]
    assert all(committed[name]["seconds"] > 0 for name in timed)


def test_measures_have_what_the_notebook_shows(noise_digits, monkeypatch, tmp_path):
    monkeypatch.setattr(digits, "RESULTS", tmp_path)
    measure = digits.model("numbers_guided", 40, steps=2, guidance=1.5)
    found = json.loads(json.dumps(digits.run("numbers_guided, few", measure)))
    assert (found["n"], found["evaluations"]) == (40, 4)
    asked = as_asked(measure)
    assert {option: found[option] for option in asked} == asked
    assert (found["guidance_scale"], found["eta"], found["spacing"]) == (1.5, 0.5, 0.6)
    assert (found["sampler"], found["bf16"]) == ("unipc", False) and found["seconds"] > 0
    assert set(found["fld"]) == {"mnist-1", "mnist-1-check"}
    assert found["fld"]["mnist-1"] != found["fld"]["mnist-1-check"]
    assert sum(found["read"]) == sum(found["certainty"]) == sum(map(sum, found["confusion"])) == 40
    assert not list(tmp_path.iterdir())  # images are made of the full 10,000 only


def test_compared_finds_a_copy(noise_digits, monkeypatch, tmp_path):
    "A drawn digit that is a training digit is nearer than any digit held back"
    monkeypatch.setattr(digits, "RESULTS", tmp_path)
    train, _ = split_validation(*noise_digits, fraction=0.1, seed=0)
    drawn = train[0][:20].float() / 127.5 - 1
    found = digits.compared(drawn, torch.arange(20) % 10 + 1)["nearest"]
    assert found["drawn"] < 1e-2 < found["held_out"] and found["copies"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["means.png", "nearest.png"]


def test_noise_has_no_labels_but_is_read_all_the_same():
    noise, labels = digits.real_digits("noise")
    assert (tuple(noise.shape), labels) == ((10_000, 1, 28, 28), None)
    found, reference = digits.by_references(noise[:600], None), load_reference()
    top = reference.probabilities(reference.features(noise[:600])).amax(1)
    assert found["certainty"][-1] == int((top >= 0.95).sum()) and "accuracy" not in found


def test_heun_takes_fewer_steps():
    assert [digits.most_steps("heun", count) for count in (5, 10, 20)] == [3, 5, 10]
    assert [digits.most_steps("unipc", count) for count in (5, 10, 20)] == [5, 10, 20]


# The benchmarks

def test_turns_are_taken():
    "Each run once to warm up, then one after the other; the ratio is that of the turns"
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    found = benchmarks.compare(runs, 10, "items_per_s", "a", turns=3)
    assert order == list("ab" * 4)
    assert found["a"]["times"] == 1 and set(found["b"]) == {"items_per_s", "times"}


@pytest.mark.parametrize("part", ["loops", "sampling", "training", "profile"])
def test_benchmarks_run(monkeypatch, part):
    for name, value in dict(TURNS=1, STEPS=2, BATCH=2, BATCHES=2).items():
        monkeypatch.setattr(benchmarks, name, value)
    make = benchmarks.digits_unet
    monkeypatch.setattr(benchmarks, "digits_unet", lambda: make(2, width=8))
    found = benchmarks.rounded(getattr(benchmarks, part)())
    assert json.loads(json.dumps(found)) == found and found


def test_the_peers_are_as_large_as_is_said():
    assert benchmarks.parameters(benchmarks.diffusers_unet()) == 686_769
    assert benchmarks.parameters(benchmarks.digits_unet().denoise_fn) == 602_705


def test_denoising_diffusion_pytorch_is_as_large_as_is_said():
    network = benchmarks.pytorch_unet()
    if network is None: pytest.skip("denoising-diffusion-pytorch is not here")
    assert benchmarks.parameters(network) == 316_029


def test_parts_are_measured_once_or_by_name():
    wanted = benchmarks.is_wanted
    assert [wanted("loops", "", done) for done in ({}, {"loops": {}})] == [True, False]
    assert [wanted("loops", only, {"loops": {}}) for only in ("loop", "mem")] == [True, False]


# The Pokémon

def test_pokemon_are_cropped_to_their_subject():
    pokemon = load_tool("pokemon_data")
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[10:34, 40:52] = 0  # 24 high, 12 wide
    found = 255 - pokemon.preprocess(picture, 48)[..., 0].astype(int) > 128
    assert found.any(0).sum() == pytest.approx(22, abs=1)  # 4% of margin on each side
    assert found.any(1).sum() == pytest.approx(44, abs=1)
    assert [round(places.mean()) for places in found.nonzero()] == [24, 24]
    blank = np.full((64, 64, 3), 250, np.uint8)
    assert (pokemon.preprocess(blank, 16) >= 250).all()  # a background alone is left as it is


def test_pokemon_are_split_by_species():
    "A form goes with its species, and a fraction is one of the species"
    pokemon = load_tool("pokemon_data")
    dex_id = np.concatenate([np.arange(1, 808).repeat(2), np.arange(10_001, 10_157)])
    kinds = pokemon.species(dex_id)
    kind_of = dict(zip(dex_id, kinds))
    assert kind_of[10_039] == 115  # mega Kangaskhan
    assert kind_of[10_156] == 800 and kinds.max() == 807  # Necrozma
    out, again, other = (pokemon.split_species(dex_id, seed=seed) for seed in (0, 0, 1))
    assert len(set(kinds[out])) == 81 and not set(kinds[out]) & set(kinds[~out])
    assert (out == again).all() and (out != other).any()
    with pytest.raises(ValueError, match="form 10999 is not known"):
        pokemon.species(np.array([10_999]))


def test_pokemon_without_their_file(monkeypatch, tmp_path):
    pokemon = load_tool("pokemon_data")
    monkeypatch.setattr(pokemon, "RUNS", tmp_path)
    monkeypatch.setenv("DENOISING_DIFFUSION_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="set DENOISING_DIFFUSION_DATA to the folder"):
        pokemon.load_images()
