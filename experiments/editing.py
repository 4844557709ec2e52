"""How well are real digits inverted, and how well does a hidden half fit the rest?

    python experiments/editing.py             # the first 100 test digits: half an hour on a core
    python experiments/editing.py --digits 20

Each result goes to nbs/results/editing.json as soon as all its rows are there; the same command
skips what is there. MNIST is read from the folder that `DENOISING_DIFFUSION_DATA` names.
"""
import torch
from fastcore.script import call_parse
from results import RESULTS, add_result, read_results
from torch import Tensor

from denoising_diffusion import SeededNoise, ddim_sample_loop, load_mnist, load_pretrained
from denoising_diffusion.data import to_floats
from denoising_diffusion.editing import inpaint, invert
from denoising_diffusion.frechet import load_reference

PATH = RESULTS/"editing.json"
STEPS = 100
INVERSIONS = [  # model, steps, guidance scale, iterations
    ("numbers", STEPS, 1.0, 1),
    ("numbers", STEPS, 1.0, 2),
    ("numbers", 20, 1.0, 2),
    ("numbers_guided", STEPS, 1.0, 2),
    ("numbers_guided", STEPS, 1.25, 2),
]
INPAINTINGS = [  # sampler, steps, how often each step is taken
    ("unipc", 10, 1),
    ("ddpm", 20, 1),
    ("ddpm", 100, 1),
    ("ddpm", 20, 5),  # as many evaluations as the row above
]


def psnr(x: Tensor, y: Tensor) -> Tensor:  # (B,) in dB
    "The peak signal-to-noise ratio of each image; the peak is 2, from -1 to 1"
    return -10 * ((x - y).div(2).square().flatten(1).mean(1)).log10()


def measure_inversion(
    x: Tensor, labels: Tensor, model: str, steps: int, guidance: float, iterations: int,
) -> dict:
    "How close digits come back from their noise"
    diffusion = load_pretrained(model)
    given = labels if diffusion.num_classes else None
    options = dict(sampling_timesteps=steps, guidance_scale=guidance, progress=False)
    noise = invert(diffusion, x, given, iterations=iterations, **options)
    back = ddim_sample_loop(diffusion, len(x), given, noise=noise, clip_denoised=False, **options)
    found = psnr(x, back)
    return dict(model=model, steps=steps, guidance=guidance, iterations=iterations, digits=len(x),
                median=round(found.median().item(), 2), worst=round(found.min().item(), 2))


def measure_inpainting(
    x: Tensor, labels: Tensor, sampler: str, steps: int, resample: int,
) -> dict:
    "The share of digits that are read as before, once their lower half is drawn without a label"
    lower = torch.arange(28)[:, None] >= 14
    drawn = inpaint(load_pretrained("numbers"), x, lower, rule=sampler, sampling_timesteps=steps,
                    eta=1.0 if sampler == "unipc" else None, resample=resample,
                    generator=SeededNoise(0), progress=False)
    assert torch.equal(drawn[..., :14, :], x[..., :14, :])
    reference = load_reference()
    read = reference.probabilities(reference.features(drawn)).argmax(1) + 1
    share = (read == labels).float().mean().item()
    return dict(sampler=sampler, steps=steps, resample=resample, digits=len(x),
                read_as_before=round(share, 3))


@call_parse
def main(
    digits: int = 100,  # how many test digits
):
    "Invert real digits, and draw their lower halves anew"
    x, labels = load_mnist("test", download=False)
    x, labels = to_floats(x[:digits]), labels[:digits].long()
    parts = dict(inversion=(measure_inversion, INVERSIONS),
                 inpainting=(measure_inpainting, INPAINTINGS))
    for name, (measure, settings) in parts.items():
        if name in read_results(PATH): continue
        rows = []
        for setting in settings:
            rows.append(measure(x, labels, *setting))
            print(rows[-1], flush=True)
        add_result(PATH, name, rows, order=parts)
