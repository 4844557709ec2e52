"""Kills trainings at random moments, resumes them, and compares them with an undisturbed one.

    python tools/kills.py --n 100 --seed 0

Four kinds of training take turns: points; images with labels from a DataLoader that has its own
generator; points from a data set with a generator deep inside; and the command `ddpm_train`. Each
is stopped by SIGKILL, SIGTERM or SIGINT, perhaps more than once, and then resumed until it ends.
Weights and losses must be equal to the bit, and no file may be left over. Then, `--pairs` times, a
second process tries to write the checkpoint of another training: it must be refused, and the first
must end as if alone. The exit status is 1 after a failure.
The trainings are forked from this process, which has loaded torch already."""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from denoising_diffusion.blocks import ConditionalMLP
from denoising_diffusion.checkpoints import read_checkpoint
from denoising_diffusion.cli import ddpm_train
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.schedules import cosine_beta_schedule
from denoising_diffusion.training import train
from denoising_diffusion.unet import UNetConditioned

SIGNALS = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
REFUSED = 7  # exit status of a process that was told that another one writes


# Four kinds of training; each makes files in a folder, and resumes if there is a checkpoint

def points(folder: Path) -> None:
    "A small network of points: a checkpoint every three steps, and validation"
    torch.manual_seed(0)
    network = ConditionalMLP(20, 16)
    diffusion = GaussianDiffusion(cosine_beta_schedule(20), 2, network)
    x = torch.rand(256, 2) * 2 - 1
    train(diffusion, x, x[:64], num_epochs=25, batch_size=32, checkpoint=folder/"points.pt",
          checkpoint_steps=3, resume=True, seed=1, device="cpu", progress=False)


class Images(Dataset):
    "Squares of one gray, with a label; their brightness is changed by Python's `random`"
    def __len__(self) -> int: return 64
    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        gray = (i / 32 - 1) * random.uniform(0.8, 1)
        return torch.full((1, 8, 8), gray), i % 3 + 1


def images(folder: Path) -> None:
    "A small U-Net with labels, whose batches come from a DataLoader with its own generator"
    torch.manual_seed(0)
    network = UNetConditioned(1, 8, 20, num_classes=3, channel_multipliers=[1, 2], block_groups=2,
                              num_attention_heads=2)
    diffusion = GaussianDiffusion(cosine_beta_schedule(20), (1, 8, 8), network)
    loader = DataLoader(Images(), 16, shuffle=True, generator=torch.Generator().manual_seed(5))
    train(diffusion, loader, num_epochs=12, checkpoint=folder/"images.pt", checkpoint_steps=3,
          resume=True, seed=1, device="cpu", progress=False)


class Shake:
    "A transform with a generator of its own"
    __slots__ = ["rng"]
    def __init__(self) -> None: self.rng = np.random.default_rng(3)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_numpy(self.rng.normal(0, 0.1, x.shape)).to(x)


class Points(Dataset):
    "Points on a line, changed by a list of transforms"
    def __init__(self, *transforms: Shake): self.transforms = transforms
    def __len__(self) -> int: return 64

    def __getitem__(self, i: int) -> torch.Tensor:
        x = torch.full((2,), i / 64 - 0.5)
        for transform in self.transforms: x = transform(x)
        return x


def deep(folder: Path) -> None:
    "Points from part of a data set whose transforms have generators, and so has `augment`"
    torch.manual_seed(0)
    diffusion = GaussianDiffusion(cosine_beta_schedule(20), 2, ConditionalMLP(20, 16))
    loader = DataLoader(Subset(Points(Shake(), Shake()), range(8, 56)), 8, shuffle=True)
    train(diffusion, loader, num_epochs=20, augment=Shake(), checkpoint=folder/"deep.pt",
          checkpoint_steps=2, resume=True, seed=1, device="cpu", progress=False)


def command(folder: Path) -> None:
    "The command `ddpm_train`, as a shell calls it"
    out = str(folder/"shapes.safetensors")
    sys.argv = ["ddpm_train", "shapes", "--out", out, "--epochs", "2", "--batch", "500", "--quiet"]
    ddpm_train()


KINDS: dict[str, Callable[[Path], None]] = dict(points=points, images=images, deep=deep,
                                                command=command)


# Processes

def start(work: Callable[[Path], None], folder: Path) -> int:
    "The number of a new process that does the work, and then exits"
    process = os.fork()
    if process: return process
    status = 1
    try:
        for stream in (1, 2): os.dup2(os.open(folder.parent/"output.txt", FLAGS), stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.simplefilter("ignore")
        work(folder)
        status = 0
    except ValueError as error:
        status = REFUSED if "another process is writing" in str(error) else 1
        traceback.print_exc()
    except SystemExit as stop: status = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt: status = 130
    except BaseException: traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def end(process: int) -> int:
    "The exit status of a process, once it has ended; that of a killed one is negative"
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def stop_at(process: int, seconds: float, how: signal.Signals) -> bool:
    "Whether the process was still running after this time, and so got the signal"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT): return False
        time.sleep(0.002)
    os.kill(process, how)
    return True


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def outcome(folder: Path) -> dict[str, object]:
    "What must be equal: the names of all files, the losses, and the bits of all weights"
    state = read_checkpoint(next(folder.glob("*.pt")))
    del state["history"]["seconds"]
    tensors = {**state["model"], **{f"ema {k}": x for k, x in state["ema"]["average"].items()}}
    bits = {name: x.numpy().tobytes() for name, x in tensors.items()}
    weights = [path.read_bytes() for path in sorted(folder.glob("*.safetensors"))]
    return dict(files=files(folder), losses=state["history"], bits=bits, weights=weights)


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def load_all() -> None:
    "Load what torch loads only when it is first used, so that the new processes needn't"
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    torch.optim.Adam([weight]).step()
    import_module("tqdm.auto")


# The two experiments

def undisturbed(name: str, root: Path) -> tuple[dict[str, object], float]:
    "The outcome of a training that nobody stops, and its seconds"
    folder, begin = new_folder(root), time.monotonic()
    status = end(start(KINDS[name], folder))
    seconds = time.monotonic() - begin
    if status: raise SystemExit(f"{name} ended with {status}: {(root/'output.txt').read_text()}")
    return outcome(folder), seconds


def new_folder(root: Path) -> Path:
    folder = root/"run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def killed_run(
    name: str, root: Path, chance: random.Random, seconds: float, most: int,
) -> tuple[dict[str, object], Counter[str]]:
    "The outcome of a training that is killed up to `most` times, and how it was killed"
    folder, found, longest = new_folder(root), Counter(), 1.1 * seconds
    while found["kills"] < most:
        process, how = start(KINDS[name], folder), chance.choice(SIGNALS)
        was_killed = stop_at(process, chance.uniform(0, longest), how)
        status = end(process)
        if not was_killed: break
        found += Counter(["kills", how.name])
        if status == 1: found["failures"] += 1
        if any(".part-" in file for file in files(folder)): found["during a write"] += 1
        if chance.random() < 0.5: break
    while (status := end(start(KINDS[name], folder))) != 0:
        print(f"{name}: a resume ended with {status}: {(root/'output.txt').read_text()[-2000:]}")
        found["failures"] += 1
        if found["failures"] > 3: raise SystemExit("too many failures")
    return outcome(folder), found


def refused_writer(root: Path, right: dict[str, object]) -> bool:
    "Whether a second writer is refused, and the first one ends as if it were alone"
    folder = new_folder(root)
    first = start(points, folder)
    while not (folder/"points.pt").exists(): time.sleep(0.001)
    os.kill(first, signal.SIGSTOP)  # so that it can't end before the second one begins
    second = end(start(points, folder))
    os.kill(first, signal.SIGCONT)
    return end(first) == 0 and second == REFUSED and not differences(outcome(folder), right)


def main(*arguments: str) -> int:
    "Run the program; returns the number of failures"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100, help="kills")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of writers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args(arguments or None)
    torch.set_num_threads(1)
    load_all()
    chance = random.Random(options.seed)
    totals: dict[str, Counter[str]] = {name: Counter() for name in options.kinds}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        right = {name: undisturbed(name, root) for name in {*options.kinds, "points"}}
        while (left := options.n - sum(total["kills"] for total in totals.values())) > 0:
            name = min(totals, key=lambda name: totals[name]["kills"])
            found, counts = killed_run(name, root, chance, right[name][1], left)
            wrong = differences(found, right[name][0])
            if wrong: print(f"{name} differs in {wrong}: {found['files']}", flush=True)
            totals[name] += counts + Counter(runs=1, failures=bool(wrong))
        for name, total in totals.items(): print(f"{name}: {dict(total)}", flush=True)
        refused = sum(refused_writer(root, right["points"][0]) for _ in range(options.pairs))
    print(f"two writers: the second was refused {refused} of {options.pairs} times")
    failures = sum(total["failures"] for total in totals.values()) + options.pairs - refused
    print("all equal to the bit" if not failures else f"{failures} failures")
    return failures


if __name__ == "__main__": sys.exit(min(main(), 1))
