"""Which parts of the recipe for the digits matter? One change at a time, some seeds each.

    python experiments/ablation.py --channels 8 --epochs 1 --digits 27000 --seeds 3 --jobs 2
    python experiments/ablation.py --channels 8 --epochs 4 --digits 27000 --seeds 3 --jobs 2 \
        --only "the recipe" "the original recipe"

Each run trains a U-Net on training digits of MNIST, and measures by FLD 1,000 digits that it draws
in 20 steps of DDIM with η = 1. Its result goes to nbs/results/ablation.json as soon as it is there;
the same command skips what is there, and does the rest. MNIST is read from the folder that
`DENOISING_DIFFUSION_DATA` names.
"""
import time
import warnings
from multiprocessing import get_context
from typing import NamedTuple

import torch
from fastcore.script import Param, call_parse
from results import RESULTS, read_results, write_results
from torch import Tensor

from denoising_diffusion import GaussianDiffusion, UNet, cosine_beta_schedule
from denoising_diffusion import fld, logsnr_beta_schedule, sample, train
from denoising_diffusion.recipes import recipes
from denoising_diffusion.schedules import clipped_snr_weights, cumulate_alphas

NUM_SAMPLES, STEPS = 1_000, 20
DTYPE = torch.bfloat16


def min_snr_weights(betas: Tensor, gamma: float = 5.0) -> Tensor:  # (T,)
    "min(SNR, γ)/(SNR + 1), for networks that predict v (Hang et al. 2023, arXiv 2303.09556)"
    alphas = cumulate_alphas(betas)[1:]
    snr = alphas / (1 - alphas)
    return snr.clamp(max=gamma) / (snr + 1)


def with_schedule(betas: Tensor) -> dict:
    "Betas, and the times that go with them"
    return dict(betas=betas, time_weights=clipped_snr_weights(betas))


ORIGINAL_RECIPE = dict(  # of the package that this one re-creates
    prediction="noise", time_weights=None, batch_size=32, lr=1e-3, optimizer=torch.optim.Adam,
    lr_schedule=None, ema_decay=None, grad_clip=None, dtype=None)
CHANGES = {  # what is changed of the recipe; it trains with the defaults of `train`
    "the recipe": {},
    "the original recipe": ORIGINAL_RECIPE,
    "predicts the noise, all times alike": dict(prediction="noise", time_weights=None),
    "predicts x̂₀, all times alike": dict(prediction="start", time_weights=None),
    "all times alike": dict(time_weights=None),
    "weights not averaged": dict(ema_decay=None),
    "constant rate": dict(lr_schedule=None),
    "full precision": dict(dtype=None),
    "log-SNR schedule": with_schedule(logsnr_beta_schedule(100)),
    "T = 1000": with_schedule(cosine_beta_schedule(1000)),
    "twice the rate": dict(lr=4e-3),
    "batch 32": dict(batch_size=32),
    "batch 128": dict(batch_size=128),
    "min-SNR weights, γ = 5": dict(time_weights=min_snr_weights(cosine_beta_schedule(100))),
}


class Job(NamedTuple):
    "One training"
    change: str  # a name in `CHANGES`
    seed: int
    channels: int = 16
    epochs: int = 15
    digits: int = 54_000
    threads: int = 0  # 0 for as many as torch takes


def recipe_options() -> tuple[Tensor, dict]:
    "The training digits, and the options of the recipe of the shipped digits"
    recipe = recipes["numbers"]()
    diffusion = recipe.diffusion
    chosen = dict(betas=diffusion.betas64, prediction=diffusion.prediction, dtype=DTYPE)
    return recipe.train_data, recipe.settings | chosen


def run(job: Job) -> dict:
    "Train, sample and measure"
    if job.threads: torch.set_num_threads(job.threads)
    images, options = recipe_options()
    options |= CHANGES[job.change] | dict(num_epochs=job.epochs)
    betas, prediction = options.pop("betas"), options.pop("prediction")
    torch.manual_seed(job.seed)
    network = UNet(1, job.channels, len(betas))
    diffusion = GaussianDiffusion(betas, (1, 28, 28), network, prediction=prediction)
    start = time.perf_counter()
    history = train(diffusion, images[:job.digits], seed=job.seed, progress=False, **options)
    seconds = time.perf_counter() - start
    samples = sample(diffusion, NUM_SAMPLES, seed=job.seed, rule="ddim", eta=1.0,
                     sampling_timesteps=STEPS, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are few
        distance = fld(samples)
    return described(job) | dict(fld=distance, training_loss=history.mean_batch_loss[-1],
                                 training_seconds=round(seconds))


def described(job: Job) -> dict:
    "What distinguishes a job from others in the results"
    return {name: value for name, value in job._asdict().items() if name != "threads"}


def is_done(job: Job, runs: list[dict]) -> bool:
    "Whether a job is among the results"
    return any(described(job).items() <= run.items() for run in runs)


@call_parse
def main(
    channels: int = 16,  # width of the U-Net; 16 is that of the shipped ones
    epochs: int = 15,  # how often to go through the digits
    digits: int = 54_000,  # how many of the 54,000 training digits
    seeds: int = 3,  # how many trainings of each kind
    jobs: int = 1,  # how many trainings at a time, each with one thread if more than one
    only: Param("these of all changes", str, nargs="+") = tuple(CHANGES),
):
    "Train with one choice of the recipe changed at a time, and measure the samples"
    unknown = [change for change in only if change not in CHANGES]
    if unknown: raise SystemExit(f"there is no change {unknown[0]!r}: take {', '.join(CHANGES)}")
    path = RESULTS/"ablation.json"
    results = read_results(path) or {"runs": []}
    threads = 1 if jobs > 1 else 0
    every = [Job(change, seed, channels, epochs, digits, threads)
             for change in only for seed in range(seeds)]
    todo = [job for job in every if not is_done(job, results["runs"])]
    sampler = f"DDIM, η = 1, {STEPS} steps"
    with get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for i, found in enumerate(pool.imap_unordered(run, todo), 1):
            results["runs"].append(found)
            results["about"] = dict(samples=NUM_SAMPLES, sampler=sampler, reference="mnist-1",
                                    torch=torch.__version__)
            write_results(path, results)
            print(f"{i}/{len(todo)}", found, flush=True)
