"""Which parts of the recipe for the digits matter? One change at a time, some seeds each, judged by FLD.

    python tools/ablation.py --channels 8 --epochs 1 --digits 27000 --seeds 3 --jobs 2
    python tools/ablation.py --channels 8 --epochs 4 --digits 27000 --seeds 3 --jobs 2 --only "the recipe" "the original recipe"

Each run trains a U-Net on training digits of MNIST and draws 1,000 digits in 20 steps of DDIM with η = 1.
What it finds goes to nbs/results/ablation.json as soon as it is found; the same command skips what is there, and goes on with the rest.
MNIST is read from the folder that `DENOISING_DIFFUSION_DATA` names.
"""
import argparse
import json
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import torch

from denoising_diffusion import GaussianDiffusion, UNet, cosine_beta_schedule, load_mnist
from denoising_diffusion import logsnr_beta_schedule, split_validation, train
from denoising_diffusion.data import write_file
from denoising_diffusion.ddim import ddim_rule
from denoising_diffusion.frechet import fld
from denoising_diffusion.solvers import sample
from denoising_diffusion.training import clipped_snr_weights, constant

RESULTS = Path(__file__).resolve().parent.parent/"nbs"/"results"/"ablation.json"
NUM_SAMPLES, STEPS = 1_000, 20


def min_snr_weights(betas: torch.Tensor, gamma: float = 5.0) -> torch.Tensor:  # (T,)
    "min(SNR, γ)/(SNR + 1), for networks that predict v (Hang et al. 2023, arXiv 2303.09556)"
    abar = (1 - betas).cumprod(0)
    snr = abar / (1 - abar)
    return snr.clamp(max=gamma) / (snr + 1)


BETAS = cosine_beta_schedule(100)
RECIPE = dict(  # of the shipped digits, and the defaults of `train`: one cycle, averaged weights, clipped gradients
    prediction="v", time_weights=clipped_snr_weights(BETAS), batch_size=64, lr=2e-3, dtype=torch.bfloat16)
ORIGINAL_RECIPE = dict(  # of the package that this one re-creates
    prediction="noise", time_weights=None, batch_size=32, lr=1e-3, optimizer=torch.optim.Adam, lr_schedule=constant, ema_decay=None,
    grad_clip=None, dtype=None)
CHANGES = {  # what is changed of `RECIPE`
    "the recipe": {},
    "the original recipe": ORIGINAL_RECIPE,
    "predicts the noise, all times alike": dict(prediction="noise", time_weights=None),
    "predicts x̂₀, all times alike": dict(prediction="start", time_weights=None),
    "all times alike": dict(time_weights=None),
    "weights not averaged": dict(ema_decay=None),
    "constant rate": dict(lr_schedule=constant),
    "full precision": dict(dtype=None),
    "log-SNR schedule": dict(betas=logsnr_beta_schedule(100), time_weights=clipped_snr_weights(logsnr_beta_schedule(100))),
    "T = 1000": dict(betas=cosine_beta_schedule(1000), time_weights=clipped_snr_weights(cosine_beta_schedule(1000))),
    "twice the rate": dict(lr=4e-3),
    "batch 32": dict(batch_size=32),
    "batch 128": dict(batch_size=128),
    "min-SNR weights, γ = 5": dict(time_weights=min_snr_weights(BETAS)),
}


def run(change: str, seed: int, channels: int, epochs: int, digits: int, threads: int) -> dict:
    "One training and its measure"
    if threads: torch.set_num_threads(threads)
    options = dict(RECIPE, betas=BETAS) | CHANGES[change]
    torch.manual_seed(seed)
    betas, prediction = options.pop("betas"), options.pop("prediction")
    diffusion = GaussianDiffusion(betas, (1, 28, 28), UNet(1, channels, len(betas)), prediction=prediction)
    train_data, _ = split_validation(load_mnist("train")[0], fraction=0.1, seed=0)
    start = time.perf_counter()
    history = train(diffusion, train_data[:digits], num_epochs=epochs, seed=seed, progress=False, **options)
    seconds = time.perf_counter() - start
    images = sample(diffusion, NUM_SAMPLES, None, seed=seed, rule=ddim_rule(1.0), sampling_timesteps=STEPS, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are few
        distance = fld(images)
    return dict(change=change, seed=seed, channels=channels, epochs=epochs, digits=digits, fld=distance,
                training_loss=history.mean_batch_loss[-1], training_seconds=round(seconds))


def run_job(job: tuple) -> dict: return run(*job)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--channels", type=int, default=16, help="width of the U-Net; 16 is that of the shipped ones")
    parser.add_argument("--epochs", type=int, default=15, help="how often to go through the digits")
    parser.add_argument("--digits", type=int, default=54_000, help="how many of the 54,000 training digits")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings of each kind")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time, each with one thread if more than one")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=[*CHANGES], metavar="CHANGE", help="these changes, of all there are")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"runs": []}
    size = args.channels, args.epochs, args.digits
    done = {tuple(r[k] for k in ("change", "seed", "channels", "epochs", "digits")) for r in results["runs"]}
    todo = [(change, seed, *size, 1 if args.jobs > 1 else 0)
            for change in args.only for seed in range(args.seeds) if (change, seed, *size) not in done]
    with get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for i, found in enumerate(pool.imap_unordered(run_job, todo)):
            results["runs"].append(found)
            results["about"] = dict(samples=NUM_SAMPLES, sampler=f"DDIM, η = 1, {STEPS} steps", judge="mnist-1", torch=torch.__version__)
            write_file(RESULTS, lambda p: p.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"))
            print(f"{i + 1}/{len(todo)}", results["runs"][-1], flush=True)


if __name__ == "__main__": main()
