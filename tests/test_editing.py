"The experiment of `08_editing`, run small, and its committed results."
import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from PIL import Image

from denoising_diffusion import ddpm_sample, load_pretrained, save_pretrained

results, editing = load_tool("results"), load_tool("editing")


@pytest.fixture
def images():
    "Two rings, and a label for each"
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    distance = ((y - 14).square() + (x - 14).square()).sqrt()
    rings = [torch.where((distance - radius).abs() < 1.5, 1.0, -1.0) for radius in (5, 8)]
    return torch.stack(rings)[:, None], torch.tensor([1, 1])


def test_psnr():
    "An error of a tenth of the range is 20 dB, whatever its sign"
    x = torch.zeros(3, 1, 2, 2)
    wrong = x + torch.tensor([0.2, -0.2, 0.02]).view(3, 1, 1, 1)
    torch.testing.assert_close(editing.psnr(x, wrong), torch.tensor([20.0, 20.0, 40.0]))


def test_inversion_is_measured(images):
    "More iterations come nearer; a model with labels gets them"
    found = [editing.measure_inversion(*images, "numbers", 10, 1.0, count) for count in (1, 2)]
    assert found[0]["digits"] == 2 and found[0]["worst"] <= found[0]["median"]
    assert all(row["median"] > 15 for row in found)
    guided = editing.measure_inversion(*images, "numbers_guided", 5, 1.25, 1)
    assert guided["model"] == "numbers_guided" and guided["guidance"] == 1.25


def test_inpainting_is_measured(images):
    for sampler, steps, resample in (("unipc", 4, 1), ("ddpm", 3, 2)):
        row = editing.measure_inpainting(*images, sampler, steps, resample)
        assert row["digits"] == 2 and 0 <= row["read_as_before"] <= 1


def test_committed_results():
    "Written as all results are, for every setting, and as good as the notebook says"
    path = ROOT/"nbs"/"results"/"editing.json"
    found = results.read_results(path)
    assert results.to_text(found) == path.read_text(encoding="utf-8")
    inverted = [(row["model"], row["steps"], row["guidance"], row["iterations"])
                for row in found["inversion"]]
    filled = [(row["sampler"], row["steps"], row["resample"]) for row in found["inpainting"]]
    assert inverted == editing.INVERSIONS and filled == editing.INPAINTINGS
    assert min(row["median"] for row in found["inversion"] if row["steps"] == 100) >= 30
    assert {row["digits"] for rows in found.values() for row in rows} == {100}


@pytest.mark.parametrize("mask", [None, "mask.png"])
def test_an_image_is_edited_as_the_card_says(tmp_path, monkeypatch, capsys, mask):
    "With guidance in an interval and a white point on the card, known pixels stay as they are"
    monkeypatch.chdir(tmp_path)
    model = load_pretrained("numbers_guided")
    sampling = dict(sampler="unipc", steps=3, guidance_interval=[5, 60], white_point=0.9)
    save_pretrained(model, "own.safetensors", card=model.card | dict(sampling=sampling))
    Image.new("L", (28, 28), 180).save("start.png")
    halves = Image.new("L", (28, 28), 255)
    halves.paste(0, (0, 0, 28, 14))
    halves.save("mask.png")
    ddpm_sample("own.safetensors", n=2, labels="7", out="s.npz", start="start.png", mask=mask,
                strength=0.5, device="cpu", quiet=True)
    drawn = np.load("s.npz")["images"]
    assert drawn.shape == (2, 1, 28, 28)
    assert (drawn[:, :, :14] == 180).all() == (mask is not None)
    said = capsys.readouterr().out
    assert "guidance 1.25 from t = 60 to 5" in said and "white point 0.9" in said
