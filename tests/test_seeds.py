"A sample depends on its seed and its index alone, whatever draws it."
import pytest
import torch

from denoising_diffusion import load_pretrained, reverse_process, sample
from denoising_diffusion.samplers import resolve_sampling
from denoising_diffusion.sampling import SeededNoise, final

MANY, FEW = 130, 10  # more than two blocks of 64


def labels_of(diffusion, n):
    if not diffusion.num_classes: return None
    return torch.arange(n) % diffusion.num_classes + 1


@pytest.fixture(scope="module", params=["spiral", "shapes", "numbers_guided"])
def diffusion(request): return load_pretrained(request.param)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_first_samples_are_the_same_for_any_number_and_chunk(diffusion, eta):
    options = dict(seed=3, rule="ddim", eta=eta, sampling_timesteps=3, progress=False)
    many = sample(diffusion, MANY, labels_of(diffusion, MANY), **options)
    for chunk in (3, 64, 100, MANY):
        few = sample(diffusion, FEW, labels_of(diffusion, FEW), chunk=chunk, **options)
        torch.testing.assert_close(few, many[:FEW], rtol=0, atol=1e-5)


def test_a_part_can_be_drawn_elsewhere(diffusion):
    "As another process would draw it: from the index of its first sample on"
    labels, options = labels_of(diffusion, MANY), dict(sampling_timesteps=3)
    whole = sample(diffusion, MANY, labels, seed=1, progress=False, **options)
    process = resolve_sampling(diffusion, labels, **options)
    mine = None if labels is None else labels[70:]
    part = final(reverse_process(diffusion, MANY - 70, mine, generator=SeededNoise(1, 70),
                                 progress=False, **process))
    torch.testing.assert_close(part, whole[70:], rtol=0, atol=1e-5)


def test_other_seeds_give_other_samples(diffusion):
    draws = [sample(diffusion, 2, labels_of(diffusion, 2), seed=seed, sampling_timesteps=3,
                    progress=False) for seed in (0, 1)]
    assert (draws[0] - draws[1]).abs().max() > 0.1
