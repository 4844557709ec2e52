"""From a folder of pictures to samples and their measures, with a network small enough for a minute"""
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from denoising_diffusion import ddpm_sample, ddpm_train, load_pretrained, read_folder, sample, unipc_rule
from denoising_diffusion.features import colour_statistics, copy_share, picture_distance, precision_recall, train_encoder

RAW = Path(os.environ.get("DENOISING_DIFFUSION_DATA", "nowhere")).expanduser()/"pokemon_raw"


def make_creatures(folder: Path, n: int = 60) -> Path:
    "n blobs with eyes on transparent ground, of many sizes"
    rng = np.random.default_rng(0)
    for i in range(n):
        side = int(rng.integers(30, 90))
        image = Image.new("RGBA", (side, side + 10), (0, 0, 0, 0))
        draw, colour = ImageDraw.Draw(image), tuple(int(c) for c in rng.integers(40, 220, 3))
        draw.ellipse((4, 6, side - 5, side - 2), fill=(*colour, 255), outline=(0, 0, 0, 255))
        for x in (0.35, 0.65): draw.ellipse((x * side - 2, side * 0.4, x * side + 2, side * 0.4 + 5), fill=(0, 0, 0, 255))
        image.save(folder/f"creature_{i:02}.png")
    return folder


@pytest.fixture(params=["made", pytest.param("raw", marks=pytest.mark.skipif(not RAW.is_dir(), reason="the pictures are not here"))])
def folder(request, tmp_path):
    if request.param == "raw": return RAW
    made = tmp_path/"creatures"
    made.mkdir()
    return make_creatures(made)


def test_the_whole_pipeline(folder, tmp_path):
    found = read_folder(folder, 48, crop=True)
    assert found.images.shape == (60, 3, 48, 48) and len(found.paths) == 60 and not found.skipped
    subject = (found.images < 240).any(1)
    spans = [(subject.any(axis).long().argmax(1), subject.any(axis).flip(1).long().argmax(1)) for axis in (1, 2)]
    assert all((a - b).abs().max() <= 3 for a, b in spans)  # in the middle
    assert (torch.stack([torch.minimum(a, b) for a, b in spans]).amin(0) <= 4).all()  # and as large as it can be

    out = str(tmp_path/"tiny.safetensors")
    train = lambda epochs: ddpm_train(str(folder), out=out, epochs=epochs, size=48, channels=8, crop=True, quiet=True, device="cpu")
    train(40)
    model = load_pretrained(out)
    assert (model.data_shape, model.prediction, model.card["epochs"]) == ((3, 48, 48), "start", 40)
    assert len(list((tmp_path/"tiny-epochs").glob("*.png"))) == 40
    ddpm_sample(out, n=4, sampler="unipc", steps=5, out=str(tmp_path/"drawn.png"), quiet=True, device="cpu")
    assert Image.open(tmp_path/"drawn.png").size[0] > 96

    drawn = sample(model, 30, rule=unipc_rule(), sampling_timesteps=10, progress=False)
    noise = torch.randn(30, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    real, held_out = found.images[:45], found.images[45:]
    encoder = train_encoder(found.images, num_epochs=10, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are few
        distance = {name: picture_distance(x, found.images, encoder) for name, x in dict(drawn=drawn, noise=noise, real=real).items()}
    assert distance["real"] < distance["drawn"] < distance["noise"]
    seen = encoder.see(found.images)
    assert precision_recall(encoder.see(real), seen)[0] == 1 and precision_recall(encoder.see(noise), seen)[0] == 0
    planted = torch.cat([drawn, found.images[:10] / 127.5 - 1])
    with_copies, without = (copy_share(x, real, held_out, encoder, part=0.1) for x in (planted, drawn))
    for way in ("pixels", "features"): assert with_copies[way] * 40 == pytest.approx(10 + without[way] * 30)  # the ten are found, and no other
    white = [colour_statistics(x)["ground"] for x in (noise, drawn, found.images)]
    assert white[0] < white[1] < white[2]
