"""A training whose process is killed resumes from its checkpoint and ends with equal weights."""
import os
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT

from denoising_diffusion.files import _temporary_for

SCRIPT = '''
import sys, time, torch
from denoising_diffusion.blocks import ConditionalMLP
from denoising_diffusion.diffusion import GaussianDiffusion
from denoising_diffusion.schedules import cosine_beta_schedule
from denoising_diffusion.training import train

checkpoint, out, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
def loss(output, target):
    time.sleep(pause)
    return torch.nn.functional.mse_loss(output, target)

data = torch.rand(256, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
labels = torch.arange(256) % 3 + 1
torch.manual_seed(0)
diffusion = GaussianDiffusion(cosine_beta_schedule(20), 2, ConditionalMLP(20, 16, num_classes=3))
history = train(
    diffusion, (data, labels), (data[:64], labels[:64]), num_epochs=6, batch_size=32, seed=1,
    loss=loss, checkpoint=checkpoint, resume=True, device="cpu", progress=False)
losses = dict(losses=history.mean_batch_loss, val=history.val_loss)
torch.save(dict(weights=diffusion.state_dict(), **losses), out)
'''


def start(checkpoint, out, pause=0.0) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(checkpoint), str(out), str(pause)])


def run(checkpoint, out) -> dict:
    "Train to the end, and what came of it"
    assert start(checkpoint, out).wait(timeout=120) == 0
    return torch.load(out, weights_only=True)


def kill_when(process: subprocess.Popen, condition, timeout=120) -> None:
    "End the process as a power cut would, as soon as `condition()` holds"
    end = time.monotonic() + timeout
    try:
        while not condition():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < end, "waited in vain for a checkpoint"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    "What comes of a training that nobody disturbs"
    folder = tmp_path_factory.mktemp("whole")
    return run(folder/"checkpoint.pt", folder/"out.pt")


def epoch_of(checkpoint) -> int: return torch.load(checkpoint, weights_only=True)["epoch"]


def test_killed_training_resumes(tmp_path, whole):
    checkpoint, out = tmp_path/"checkpoint.pt", tmp_path/"out.pt"
    kill_when(start(checkpoint, out, pause=0.05),
              lambda: checkpoint.exists() and epoch_of(checkpoint) >= 2)
    assert 2 <= epoch_of(checkpoint) < 6 and not out.exists()
    resumed = run(checkpoint, out)
    assert resumed["losses"] == whole["losses"] and resumed["val"] == whole["val"]
    torch.testing.assert_close(resumed["weights"], whole["weights"], rtol=0, atol=0)


def test_half_written_checkpoint_is_ignored(tmp_path, whole):
    "What a process killed while writing leaves behind are other files, which hinder nobody"
    checkpoint, out = tmp_path/"checkpoint.pt", tmp_path/"out.pt"
    kill_when(start(checkpoint, out, pause=0.05), checkpoint.exists)
    killed, half = subprocess.Popen([sys.executable, "-c", ""]), checkpoint.read_bytes()
    killed.wait()
    for file in checkpoint, tmp_path/"checkpoint-history.csv":
        temporary = _temporary_for(file)
        left = temporary.name.replace(f"-{os.getpid()}-", f"-{killed.pid}-")
        temporary.with_name(left).write_bytes(half[: len(half) // 2])
    resumed = run(checkpoint, out)
    torch.testing.assert_close(resumed["weights"], whole["weights"], rtol=0, atol=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-history.csv", "checkpoint.pt", "out.pt"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trainings are forked")
def test_kills_at_random_moments():
    "`tools/kills.py` does the same with many more kills"
    command = [sys.executable, ROOT/"tools"/"kills.py", "--n", "6", "--pairs", "1"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0 and "all equal to the bit" in said.stdout, said.stdout + said.stderr
    assert "refused 1 of 1 times" in said.stdout
