"""How fast is it, against the bare network, against diffusers and against denoising-diffusion-pytorch?

    pip install -e '.[bench]' && pip install --no-deps denoising-diffusion-pytorch
    python tools/benchmarks.py                 # a quarter of an hour on two cores that do nothing else
    python tools/benchmarks.py --only memory   # what has this in its name, anew

What is compared takes turns, five times at least, and a ratio is the median of those of the turns. Each part goes to
nbs/results/benchmarks.json as soon as it is measured; nbs/40_benchmarks.ipynb shows it. A peer that can't be imported is left out.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import types
from pathlib import Path

import torch
import torch.nn.functional as F

from denoising_diffusion import GaussianDiffusion, UNet, UNetConditioned, cosine_beta_schedule, p_sample_loop, train
from denoising_diffusion.blocks import ConditionalMLP
from denoising_diffusion.data import write_file
from denoising_diffusion.sampling import last, reverse_process
from denoising_diffusion.solvers import sample
from denoising_diffusion.training import constant

RESULTS = Path(__file__).resolve().parent.parent/"nbs"/"results"/"benchmarks.json"
TURNS, BATCH, STEPS, BATCHES = 7, 64, 20, 15


def machine() -> str:
    "The processor and its cores"
    try: names = {line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")}
    except OSError: names = {platform.processor()}
    return f"{', '.join(sorted(names))}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"


def take_turns(runs: dict, turns: int = TURNS) -> dict:  # name: seconds of each turn
    "Each of `runs` once to warm up, and then in turns"
    seconds = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn: seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(runs: dict, amount: int, per: str, to: str | None = None, turns: int = TURNS) -> dict:
    "Rates and, of each turn, how many times as long as `to` each took: the median of them"
    seconds = take_turns(runs, turns)
    found = {name: {per: amount / statistics.median(each)} for name, each in seconds.items()}
    for name in seconds:
        if to: found[name]["times"] = statistics.median(a / b for a, b in zip(seconds[name], seconds[to]))
    return found


def digits_unet(T: int = STEPS, width: int = 16) -> GaussianDiffusion:
    "The U-Net of the digits with weights that nothing trained"
    return GaussianDiffusion(cosine_beta_schedule(T), (1, 28, 28), UNet(1, width, T), prediction="v").eval()


@torch.no_grad()
def bare(network, T: int, shape: tuple, *labels):
    "As many forward passes, and nothing else"
    x = torch.randn(shape)
    for t in range(T, 0, -1): network(x, torch.full((shape[0],), t), *labels)


@torch.no_grad()
def diffusers_walk(network, T: int, shape: tuple):
    "The loop of diffusers' documentation"
    from diffusers import DDPMScheduler
    scheduler = DDPMScheduler(T, beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(T)
    x = torch.randn(shape)
    for t in scheduler.timesteps: x = scheduler.step(network(x, t), t, x).prev_sample


def diffusers_unet():
    "686,769 parameters: 16, 32 and 64 channels, with attention at the lowest level"
    try: from diffusers import UNet2DModel
    except ImportError: return None
    return UNet2DModel(28, 1, 1, block_out_channels=(16, 32, 64), norm_num_groups=8, layers_per_block=1,
                       down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"))


def pytorch_unet():
    "316,029 parameters: dim 10. Its package asks for torchvision and pytorch_fid, of which nothing is used here: stand-ins serve"
    for name in ("torchvision", "torchvision.transforms", "torchvision.utils", "pytorch_fid", "pytorch_fid.fid_score", "pytorch_fid.inception"):
        if name not in sys.modules: sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision"].transforms, sys.modules["torchvision"].utils = sys.modules["torchvision.transforms"], sys.modules["torchvision.utils"]
    sys.modules["pytorch_fid.fid_score"].calculate_frechet_distance = sys.modules["pytorch_fid.inception"].InceptionV3 = None
    try: from denoising_diffusion_pytorch import Unet
    except ImportError: return None
    return Unet(10, channels=1, dim_mults=(1, 2, 4))


def loops() -> dict:
    "What the loop adds to the forward passes of the network"
    diffusion, spiral = digits_unet(), GaussianDiffusion(cosine_beta_schedule(40), 2, ConditionalMLP(40, 16)).eval()
    chain = lambda x, t: spiral.denoise_fn(x, t.expand(len(x)) + 1)
    unet = dict(bare=lambda: bare(diffusion.denoise_fn, STEPS, (BATCH, 1, 28, 28)), ours=lambda: p_sample_loop(diffusion, BATCH, progress=False))
    points = dict(bare=lambda: [bare(spiral.denoise_fn, 40, (1000, 2)) for _ in range(10)],
                  ours=lambda: [p_sample_loop(spiral, 1000, progress=False) for _ in range(10)],
                  diffusers=lambda: [diffusers_walk(chain, 40, (1000, 2)) for _ in range(10)])
    return dict(unet=compare(unet, BATCH, "images_per_s", "bare", 2 * TURNS), spiral=compare(points, 10_000, "points_per_s", "bare", 4 * TURNS))


def peers() -> dict:
    "The networks of the peers that are here, by name"
    return {name: network.eval() for name, network in (("diffusers", diffusers_unet()), ("denoising-diffusion-pytorch", pytorch_unet())) if network}


def parameters(network) -> int: return sum(p.numel() for p in network.parameters())


def sampling() -> dict:
    "64 digits in 20 steps of DDPM by each package's own loop, in single precision, and by ours in half"
    shape, others, diffusion = (BATCH, 1, 28, 28), peers(), digits_unet()
    guided = GaussianDiffusion(cosine_beta_schedule(STEPS), shape[1:], UNetConditioned(1, 16, STEPS, num_classes=10), prediction="v").eval()
    runs = {"ours": lambda: p_sample_loop(diffusion, BATCH, progress=False),
            "ours, half": lambda: sample(diffusion, BATCH, chunk=BATCH, dtype=torch.bfloat16, progress=False),
            "ours, guided": lambda: p_sample_loop(guided, BATCH, 3, guidance_scale=2.0, progress=False),
            "ours, guided, half": lambda: sample(guided, BATCH, 3, guidance_scale=2.0, chunk=BATCH, dtype=torch.bfloat16, progress=False)}
    if "diffusers" in others: runs["diffusers"] = lambda: diffusers_walk(lambda x, t: others["diffusers"](x, t).sample, STEPS, shape)
    if "denoising-diffusion-pytorch" in others:
        from denoising_diffusion_pytorch import GaussianDiffusion as Theirs
        theirs = Theirs(others["denoising-diffusion-pytorch"], image_size=28, timesteps=STEPS, beta_schedule="cosine")
        loud = sys.modules["denoising_diffusion_pytorch.denoising_diffusion_pytorch"]
        loud.tqdm = lambda steps, **_: steps
        runs["denoising-diffusion-pytorch"] = lambda: theirs.sample(BATCH)
    found = compare(runs, BATCH, "images_per_s", "ours")
    for name, network in [("ours", diffusion), ("ours, guided", guided), *others.items()]: found[name]["parameters"] = parameters(network)
    return found


def bare_training(network, predict, images):
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
    images, others, diffusion = torch.rand(BATCHES * BATCH, 1, 28, 28) * 2 - 1, peers(), digits_unet()
    network = diffusion.denoise_fn
    plain = dict(num_epochs=1, batch_size=BATCH, lr=1e-3, lr_schedule=constant, progress=False)
    runs = {"bare loop": lambda: bare_training(network, network, images),
            "ours": lambda: train(diffusion, images, **plain, ema_decay=None, grad_clip=None),
            "ours, averaged and clipped": lambda: train(diffusion, images, **plain),
            "ours, half": lambda: train(diffusion, images, **plain, dtype=torch.bfloat16)}
    if "diffusers" in others: runs["diffusers"] = lambda: bare_training(others["diffusers"], lambda x, t: others["diffusers"](x, t).sample, images)
    name = "denoising-diffusion-pytorch"
    if name in others: runs[name] = lambda: bare_training(others[name], others[name], images)
    return compare(runs, len(images), "images_per_s", "bare loop")


def peak(code: str) -> int:
    "The most memory in bytes that a new process needs to run `code` (as Linux tells it: VmHWM)"
    said = "print(next(int(line.split()[1]) * 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    script = f"import torch\nfrom tools.benchmarks import *\n{code}\n{said}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=RESULTS.parents[2])
    return int(done.stdout.split()[-1])


def memory() -> dict:
    "Peaks of whole processes: a walk that keeps everything, and a hundred thousand digits"
    made = "d = GaussianDiffusion(cosine_beta_schedule(100), (1, 28, 28), lambda x, t: 0.1 * x)\n"
    one, every = (peak(f"from denoising_diffusion import {name}\n{made}{name}(d, 1000, progress=False)") for name in ("p_sample_loop", "p_sample_loop_all"))
    unet = "d = digits_unet()\nsample(d, {n}, sampling_timesteps=1, progress=False)"
    chunk, many = peak(unet.format(n=250)), peak(unet.format(n=100_000))
    results = 2 * 100 * 1000 * 784 * 4
    return dict(p_sample_loop=one, p_sample_loop_all=every, results=results, times=(every - one) / results,
                chunk=chunk, hundred_thousand=many, their_size=100_000 * 784 * 4, above_one_chunk=many - chunk - 100_000 * 784 * 4)


def imports() -> dict:
    "Seconds of a new Python that imports"
    run = lambda code: subprocess.run([sys.executable, "-c", code], check=True)
    names = "from denoising_diffusion import GaussianDiffusion, UNet, p_sample_loop, cosine_beta_schedule"
    seconds = take_turns({"torch": lambda: run("import torch"), "the package": lambda: run("import denoising_diffusion"), "what a sampling needs": lambda: run(names)}, 9)
    return {name: dict(seconds=statistics.median(each), times=statistics.median(a / b for a, b in zip(each, seconds["torch"])))
            for name, each in seconds.items()}


def limit() -> dict:
    "How much of the machine's rate of matrix products the network reaches; counted are multiplications and additions"
    from torch.utils.flop_counter import FlopCounterMode
    network, x, t = digits_unet().denoise_fn, torch.randn(BATCH, 1, 28, 28), torch.randint(1, STEPS, (BATCH,))
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    with FlopCounterMode(display=False) as counter, torch.no_grad(): network(x, t)
    flops = counter.get_total_flops()
    forward = lambda: [bare(network, 1, (BATCH, 1, 28, 28)) for _ in range(10)]
    def in_half():
        with torch.autocast("cpu", torch.bfloat16): forward()
    seconds = {name: statistics.median(each) / 10 for name, each in take_turns(dict(
        product=lambda: [a @ b for _ in range(10)], forward=forward, product_half=lambda p=a.bfloat16(), q=b.bfloat16(): [p @ q for _ in range(10)],
        forward_half=in_half)).items()}
    found = dict(gflop_per_image=flops / BATCH / 1e9, product_gflops=2 * 1024**3 / seconds["product"] / 1e9, forward_gflops=flops / seconds["forward"] / 1e9,
                 product_gflops_half=2 * 1024**3 / seconds["product_half"] / 1e9, forward_gflops_half=flops / seconds["forward_half"] / 1e9)
    return found | dict(share=found["forward_gflops"] / found["product_gflops"], share_half=found["forward_gflops_half"] / found["product_gflops_half"])


def costs() -> dict:
    "Milliseconds for an image and a step, by batch, width and side; all in single precision"
    def cost(n: int = BATCH, width: int = 16, side: int = 28) -> float:
        network = UNet(1, width, STEPS).eval()
        repeats = max(1, 128 // n)
        seconds = take_turns(dict(a=lambda: [bare(network, 1, (n, 1, side, side)) for _ in range(repeats)]), 5)["a"]
        return 1000 * statistics.median(seconds) / n / repeats
    return dict(batch={n: cost(n) for n in (1, 4, 16, 64, 256)}, width={w: cost(width=w) for w in (8, 16, 32, 64)},
                side={s: cost(side=s) for s in (16, 28, 48, 64)})


def profile() -> dict:
    "Where the time goes, in shares of the processor's own time: a step of sampling and a step of training"
    from torch.profiler import ProfilerActivity, profile as watch
    diffusion, images = digits_unet(), torch.rand(5 * BATCH, 1, 28, 28)
    def shares(run) -> dict:
        run()
        with watch(activities=[ProfilerActivity.CPU]) as seen: run()
        times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
        return {key: share / sum(times.values()) for key, share in sorted(times.items(), key=lambda item: -item[1])[:8]}
    return dict(sampling=shares(lambda: last(reverse_process(diffusion, BATCH, progress=False))),
                training=shares(lambda: train(diffusion, images, num_epochs=1, progress=False)))


PARTS = dict(loops=loops, sampling=sampling, training=training, limit=limit, imports=imports, costs=costs, profile=profile, memory=memory)


def rounded(found):
    "Four digits of every number"
    if isinstance(found, dict): return {str(name): rounded(value) for name, value in found.items()}
    return float(f"{found:.4g}") if isinstance(found, float) else found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="measure what has this in its name, be it there or not")
    only = parser.parse_args().only
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, part in PARTS.items():
        if only not in name if only else name in results: continue
        torch.manual_seed(0)
        results[name] = rounded(part()) | dict(machine=machine())
        write_file(RESULTS, lambda p: p.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"))
        print(name, json.dumps(results[name], ensure_ascii=False), flush=True)


if __name__ == "__main__": main()
