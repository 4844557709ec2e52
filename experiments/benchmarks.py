"""How fast is it, against the bare network, diffusers and denoising-diffusion-pytorch?

    pip install -e '.[bench]' && pip install --no-deps denoising-diffusion-pytorch
    python experiments/benchmarks.py                 # a quarter of an hour on two idle cores
    python experiments/benchmarks.py --only memory   # the parts with this in their name, once more

What is compared takes turns, five times at least, and a ratio is the median of those of the turns.
Each part goes to nbs/results/benchmarks.json as soon as it is measured; nbs/70_benchmarks.ipynb
shows it. A peer that can't be imported is left out.
"""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from fastcore.script import call_parse
from results import RESULTS, add_result, read_results
from torch import Tensor, nn

from denoising_diffusion import GaussianDiffusion, UNet, UNetConditioned, cosine_beta_schedule
from denoising_diffusion import p_sample_loop, sample, train
from denoising_diffusion.blocks import ConditionalMLP
from denoising_diffusion.sampling import final, reverse_process

TURNS, BATCH, STEPS, BATCHES = 7, 64, 20, 15
CLASSES = 10  # of the guided network
THEIRS = "denoising-diffusion-pytorch"


# Times

def machine() -> str:
    "The processor and its cores"
    try: lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError: names = {platform.processor()}
    else: names = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    return (f"{', '.join(sorted(names))}, {os.cpu_count()} cores, torch {torch.__version__}, "
            f"{torch.get_num_threads()} threads")


def take_turns(runs: dict[str, Callable], turns: int | None = None) -> dict[str, list[float]]:
    "The seconds of each turn: all runs once to warm up, and then one after the other"
    seconds = {name: [] for name in runs}
    for turn in range(1 + (turns or TURNS)):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn: seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: list[float], others: list[float]) -> float:
    "How many times as long as the others: the median of the turns"
    return statistics.median(a / b for a, b in zip(seconds, others))


def compare(runs: dict[str, Callable], amount: int, per: str, to: str,
            turns: int | None = None) -> dict[str, dict]:
    "The rate of each run, and how many times as long as the run `to` it takes"
    seconds = take_turns(runs, turns)
    found = {}
    for name, each in seconds.items():
        rate = amount / statistics.median(each)
        found[name] = {per: rate, "times": ratio(each, seconds[to])}
    return found


# Networks

def digits_unet(num_timesteps: int | None = None, width: int = 16) -> GaussianDiffusion:
    "The U-Net of the digits with untrained weights"
    betas = cosine_beta_schedule(num_timesteps or STEPS)
    network = UNet(1, width, len(betas))
    return GaussianDiffusion(betas, (1, 28, 28), network, prediction="v").eval()


def guided_unet() -> GaussianDiffusion:
    "The same with labels"
    network = UNetConditioned(1, 16, STEPS, num_classes=CLASSES)
    betas = cosine_beta_schedule(STEPS)
    return GaussianDiffusion(betas, (1, 28, 28), network, prediction="v").eval()


def diffusers_unet() -> nn.Module | None:
    "686,769 parameters: 16, 32 and 64 channels, with attention at the lowest level"
    try: from diffusers import UNet2DModel
    except ImportError: return None
    return UNet2DModel(
        28, 1, 1, block_out_channels=(16, 32, 64), norm_num_groups=8, layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"))


def stand_in(name: str) -> types.ModuleType:
    "The module of that name, or an empty one in its place"
    return sys.modules.setdefault(name, types.ModuleType(name))


def pytorch_unet() -> nn.Module | None:
    "316,029 parameters: dim 10. Empty modules stand for what its package imports, unused here"
    vision = stand_in("torchvision")
    stand_in("pytorch_fid")
    vision.transforms = stand_in("torchvision.transforms")
    vision.utils = stand_in("torchvision.utils")
    stand_in("pytorch_fid.fid_score").calculate_frechet_distance = None
    stand_in("pytorch_fid.inception").InceptionV3 = None
    try: from denoising_diffusion_pytorch import Unet
    except ImportError: return None
    return Unet(10, channels=1, dim_mults=(1, 2, 4))


def peers() -> dict[str, nn.Module]:
    "The networks of the peers that are installed"
    found = {"diffusers": diffusers_unet(), THEIRS: pytorch_unet()}
    return {name: network.eval() for name, network in found.items() if network is not None}


def parameters(network: nn.Module) -> int: return sum(p.numel() for p in network.parameters())


# Loops

@torch.no_grad()
def bare(network: Callable, num_timesteps: int, shape: tuple) -> None:
    "As many forward passes, and nothing else"
    x = torch.randn(shape)
    for t in range(num_timesteps, 0, -1): network(x, torch.full((shape[0],), t))


@torch.no_grad()
def diffusers_loop(network: Callable, num_timesteps: int, shape: tuple) -> None:
    "The loop of diffusers' documentation"
    from diffusers import DDPMScheduler
    scheduler = DDPMScheduler(num_timesteps, beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(num_timesteps)
    x = torch.randn(shape)
    for t in scheduler.timesteps: x = scheduler.step(network(x, t), t, x).prev_sample


def their_loop(network: nn.Module) -> Callable:
    "The loop of denoising-diffusion-pytorch, without its progress bar"
    from denoising_diffusion_pytorch import GaussianDiffusion as Theirs
    options = dict(image_size=28, timesteps=STEPS, beta_schedule="cosine")
    theirs = Theirs(network, **options)
    module = sys.modules["denoising_diffusion_pytorch.denoising_diffusion_pytorch"]
    module.tqdm = lambda steps, **_: steps
    return lambda: theirs.sample(BATCH)


def ten_times(run: Callable) -> Callable:
    def repeat() -> None:
        for _ in range(10): run()
    return repeat


def unet_loops() -> dict[str, Callable]:
    "64 digits by the forward passes alone, and by our loop"
    diffusion = digits_unet()
    return dict(bare=lambda: bare(diffusion.denoise_fn, STEPS, (BATCH, 1, 28, 28)),
                ours=lambda: p_sample_loop(diffusion, BATCH, progress=False))


def spiral_loops() -> dict[str, Callable]:
    "Ten times 1,000 points by the forward passes alone, by our loop, and by that of diffusers"
    steps, shape = 40, (1000, 2)
    betas, network = cosine_beta_schedule(steps), ConditionalMLP(steps, 16)
    diffusion = GaussianDiffusion(betas, 2, network).eval()
    def shifted(x: Tensor, t: Tensor) -> Tensor: return network(x, t.expand(len(x)) + 1)
    runs = dict(bare=lambda: bare(network, steps, shape),
                ours=lambda: p_sample_loop(diffusion, shape[0], progress=False),
                diffusers=lambda: diffusers_loop(shifted, steps, shape))
    return {name: ten_times(run) for name, run in runs.items()}


# The parts

def loops() -> dict:
    "What the loop adds to the forward passes of the network"
    unet, spiral = unet_loops(), spiral_loops()
    return dict(unet=compare(unet, BATCH, "images_per_s", "bare", 2 * TURNS),
                spiral=compare(spiral, 10_000, "points_per_s", "bare", 4 * TURNS))


def our_samplers(diffusion: GaussianDiffusion, guided: GaussianDiffusion) -> dict[str, Callable]:
    "64 digits in single precision and in bfloat16, without and with guidance"
    half = dict(chunk=BATCH, dtype=torch.bfloat16, progress=False)
    under = dict(labels=3, guidance_scale=2.0)
    return {"ours": lambda: p_sample_loop(diffusion, BATCH, progress=False),
            "ours, half": lambda: sample(diffusion, BATCH, **half),
            "ours, guided": lambda: p_sample_loop(guided, BATCH, **under, progress=False),
            "ours, guided, half": lambda: sample(guided, BATCH, **under, **half)}


def their_samplers(others: dict[str, nn.Module]) -> dict[str, Callable]:
    "64 digits by each peer's own loop"
    runs, shape = {}, (BATCH, 1, 28, 28)
    if "diffusers" in others:
        def predict(x: Tensor, t: Tensor) -> Tensor: return others["diffusers"](x, t).sample
        runs["diffusers"] = lambda: diffusers_loop(predict, STEPS, shape)
    if THEIRS in others: runs[THEIRS] = their_loop(others[THEIRS])
    return runs


def sampling() -> dict:
    "64 digits in 20 steps of DDPM by each package's own loop, and by ours in bfloat16 as well"
    others, diffusion, guided = peers(), digits_unet(), guided_unet()
    runs = our_samplers(diffusion, guided) | their_samplers(others)
    found = compare(runs, BATCH, "images_per_s", "ours")
    networks = {"ours": diffusion, "ours, guided": guided} | others
    for name, network in networks.items(): found[name]["parameters"] = parameters(network)
    return found


def bare_training(network: nn.Module, predict: Callable, images: Tensor) -> None:
    "Forward, loss, backward, Adam: what every training does, and nothing else"
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.train()
    for x in images.split(BATCH):
        noise, t = torch.randn_like(x), torch.randint(1, STEPS + 1, (len(x),))
        loss = F.mse_loss(predict(x + noise, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def training() -> dict:
    "An epoch of 15 batches of 64 digits"
    images = torch.rand(BATCHES * BATCH, 1, 28, 28) * 2 - 1
    others, diffusion = peers(), digits_unet()
    network = diffusion.denoise_fn
    plain = dict(num_epochs=1, batch_size=BATCH, lr=1e-3, lr_schedule=None, progress=False)
    nothing_else = dict(plain, ema_decay=None, grad_clip=None)
    runs = {"bare loop": lambda: bare_training(network, network, images),
            "ours": lambda: train(diffusion, images, **nothing_else),
            "ours, averaged and clipped": lambda: train(diffusion, images, **plain),
            "ours, half": lambda: train(diffusion, images, **plain, dtype=torch.bfloat16)}
    if "diffusers" in others:
        unet = others["diffusers"]
        def predict(x: Tensor, t: Tensor) -> Tensor: return unet(x, t).sample
        runs["diffusers"] = lambda: bare_training(unet, predict, images)
    if THEIRS in others:
        theirs = others[THEIRS]
        runs[THEIRS] = lambda: bare_training(theirs, theirs, images)
    return compare(runs, len(images), "images_per_s", "bare loop")


PEAK = """
status = open("/proc/self/status")
print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
"""


def peak(code: str) -> int:
    "The most memory in bytes that a new process needs to run `code` (Linux calls it VmHWM)"
    script = f"import torch\nfrom benchmarks import *\n{code}\n{PEAK}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True, cwd=Path(__file__).parent)
    return int(done.stdout.split()[-1])


def memory() -> dict:
    "Peaks of whole processes: a trajectory that is kept, and a hundred thousand digits"
    shrink = "d = GaussianDiffusion(cosine_beta_schedule(100), (1, 28, 28), lambda x, t: 0.1 * x)"
    one, every = (peak(f"{shrink}\nfrom denoising_diffusion import {name}\n"
                       f"{name}(d, 1000, progress=False)")
                  for name in ("p_sample_loop", "p_sample_loop_all"))
    chunk, many = (peak(f"sample(digits_unet(), {n}, sampling_timesteps=1, progress=False)")
                   for n in (250, 100_000))
    results, digits = 2 * 100 * 1000 * 784 * 4, 100_000 * 784 * 4
    return dict(p_sample_loop=one, p_sample_loop_all=every, results=results,
                times=(every - one) / results, chunk=chunk, hundred_thousand=many,
                their_size=digits, above_one_chunk=many - chunk - digits)


def imports() -> dict:
    "Seconds of a new Python that imports"
    def importing(code: str) -> Callable:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    names = "GaussianDiffusion, UNet, p_sample_loop, cosine_beta_schedule"
    seconds = take_turns({
        "torch": importing("import torch"),
        "the package": importing("import denoising_diffusion"),
        "what a sampling needs": importing(f"from denoising_diffusion import {names}")}, 9)
    return {name: dict(seconds=statistics.median(each), times=ratio(each, seconds["torch"]))
            for name, each in seconds.items()}


def count_flops(network: nn.Module, *inputs: Tensor) -> int:
    "Multiplications and additions of a forward pass"
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter, torch.no_grad(): network(*inputs)
    return counter.get_total_flops()


def limit() -> dict:
    "How much of the machine's rate of matrix products the network reaches"
    network, t = digits_unet().denoise_fn, torch.randint(1, STEPS, (BATCH,))
    shape = (BATCH, 1, 28, 28)
    flops = count_flops(network, torch.randn(shape), t)
    a, b = torch.randn(2, 1024, 1024)
    a_half, b_half = a.bfloat16(), b.bfloat16()
    def forward() -> None: bare(network, 1, shape)
    def in_half() -> None:
        with torch.autocast("cpu", torch.bfloat16): forward()

    runs = dict(product=lambda: a @ b, forward=forward, product_half=lambda: a_half @ b_half,
                forward_half=in_half)
    turns = take_turns({name: ten_times(run) for name, run in runs.items()})
    seconds = {name: statistics.median(each) / 10 for name, each in turns.items()}
    gflop = dict(product=2 * 1024**3 / 1e9, forward=flops / 1e9)
    rates = {f"{name}_gflops{half}": gflop[name] / seconds[name + half]
             for half in ("", "_half") for name in gflop}
    shares = {f"share{half}": rates[f"forward_gflops{half}"] / rates[f"product_gflops{half}"]
              for half in ("", "_half")}
    return dict(gflop_per_image=flops / BATCH / 1e9) | rates | shares


def cost(n: int | None = None, width: int = 16, side: int = 28) -> float:
    "Milliseconds for an image and a step, in single precision"
    n = n or BATCH
    network = UNet(1, width, STEPS).eval()
    repeats = max(1, 128 // n)
    def run() -> None:
        for _ in range(repeats): bare(network, 1, (n, 1, side, side))
    seconds = take_turns(dict(run=run), 5)["run"]
    return 1000 * statistics.median(seconds) / n / repeats


def costs() -> dict:
    "Milliseconds for an image and a step, by batch, width and side"
    return dict(batch={n: cost(n) for n in (1, 4, 16, 64, 256)},
                width={width: cost(width=width) for width in (8, 16, 32, 64)},
                side={side: cost(side=side) for side in (16, 28, 48, 64)})


def shares(run: Callable) -> dict[str, float]:
    "The eight operations that take the most of the processor's own time"
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch
    run()
    with watch(activities=[ProfilerActivity.CPU]) as seen: run()
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    longest = sorted(times, key=lambda key: -times[key])[:8]
    return {key: times[key] / sum(times.values()) for key in longest}


def profile() -> dict:
    "Where the time of sampling and of training goes"
    diffusion, images = digits_unet(), torch.rand(5 * BATCH, 1, 28, 28)
    return dict(sampling=shares(lambda: final(reverse_process(diffusion, BATCH, progress=False))),
                training=shares(lambda: train(diffusion, images, num_epochs=1, progress=False)))


PARTS = dict(loops=loops, sampling=sampling, training=training, limit=limit, imports=imports,
             costs=costs, profile=profile, memory=memory)


def rounded(found: object) -> object:
    "Four digits of every number"
    if isinstance(found, dict): return {str(key): rounded(value) for key, value in found.items()}
    return float(f"{found:.4g}") if isinstance(found, float) else found


def is_wanted(name: str, only: str, done: dict) -> bool:
    "Whether a part is asked for by name, or, if none is, not there yet"
    return only in name if only else name not in done


@call_parse
def main(
    only: str = "",  # measure the parts with this in their name, even if they are there
):
    "Measure how fast the package is, and what the time goes to"
    path = RESULTS/"benchmarks.json"
    for name, part in PARTS.items():
        if not is_wanted(name, only, read_results(path)): continue
        torch.manual_seed(0)
        found = rounded(part()) | dict(machine=machine())
        add_result(path, name, found)
        print(name, json.dumps(found, ensure_ascii=False), flush=True)
