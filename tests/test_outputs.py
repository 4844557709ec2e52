"""Samples in files: the memory of one chunk, however many they are, and nothing half written when
the process is killed. (What the files hold is tested in `46_outputs`.)"""
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from denoising_diffusion.outputs import save_samples

SIDE = 32
SIZE = 3 * SIDE**2  # bytes of an image

DRAW = f"""
import re, sys, torch
from pathlib import Path
from denoising_diffusion import GaussianDiffusion, cosine_beta_schedule
from denoising_diffusion.outputs import _SamplingOptions, _find_target, _write_samples

diffusion = GaussianDiffusion(cosine_beta_schedule(10), (3, {SIDE}, {SIDE}), lambda x, t: x)

def write(name, n):
    target = _find_target("path", name)
    _write_samples(diffusion, n, None, _SamplingOptions(steps=1), target, progress=False)

def peak():  # the most memory so far, in bytes
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess:
    "Run code behind `DRAW` in a process of its own, in a folder"
    return subprocess.run([sys.executable, "-c", DRAW + code], cwd=folder, capture_output=True,
                          text=True)


MEASURE = """
write("first.npz", 2400)
for name, n in ("a.npz", 18000), ("a.png", 9000):
    before = peak()
    write(name, n)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_samples_need_the_memory_of_one_chunk(tmp_path):
    "After the first chunks, more need far less than their own bytes; a picture needs them all"
    done = run(MEASURE, tmp_path)
    assert done.returncode == 0, done.stderr
    arrays, picture = map(int, done.stdout.split())
    assert arrays < 18000 * SIZE / 2 and picture > 9000 * SIZE
    assert (tmp_path/"a.npz").stat().st_size > 18000 * SIZE


KILLED = """
import os, signal
from denoising_diffusion import outputs

def kill_after(number):
    real = outputs._part_of
    def part_of(diffusion, part, *args):
        if part.start >= 192 * number: os.kill(os.getpid(), signal.SIGKILL)
        return real(diffusion, part, *args)
    outputs._part_of = part_of
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_process_leaves_no_half_folder(tmp_path):
    "Neither under the name, nor, after the next run, under any other"
    killed = run(f"{KILLED}\nkill_after(1)\nwrite('a', 400)", tmp_path)
    assert killed.returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1 and left[0].startswith(".part-")
    save_samples(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), tmp_path/"a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(list((tmp_path/"a").iterdir())) == 2


def test_an_archive_can_be_read_without_this_package(tmp_path):
    "NumPy reads all arrays, without pickle"
    save_samples(torch.zeros(3, 2), tmp_path/"a.npz", [1, 2, 2])
    with np.load(tmp_path/"a.npz", allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {
            "x": [[0, 0]] * 3, "labels": [1, 2, 2], "class_names": ["1", "2"]}
