"A closed stdout or stderr, or a reader that goes away, must not stop a command, nor harm a file."
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import denoising_diffusion
from denoising_diffusion import load_pretrained

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def run_shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    "Run a line of a shell that has the commands of this environment; the status is `ddpm_…`'s"
    programs = Path(sys.executable).parent
    lines = ["set -o pipefail", line.replace("ddpm_", f"{programs}/ddpm_")]
    shell = shutil.which("bash") or pytest.skip("needs bash")
    return subprocess.run([shell, "-c", "\n".join(lines)], cwd=cwd, capture_output=True, text=True,
                          timeout=300)


@pytest.mark.parametrize("streams, status", [
    ("<&- >&- 2>&-", 0), ("2>&1 | head -c 1", 0), (">/dev/full 2>/dev/full", 1)])
def test_a_training_goes_on_without_a_reader(tmp_path, streams, status):
    done = run_shell(f"ddpm_train spiral --epochs 1 {streams}", tmp_path)
    assert done.returncode == status, done.stderr
    assert "Error" not in done.stderr and "Exception" not in done.stderr
    files = {path.name for path in (tmp_path/"runs").iterdir()}
    kept = {"spiral.safetensors", "spiral.md", "spiral.pt", "spiral-history.csv"}
    assert files == kept
    assert load_pretrained(tmp_path/"runs/spiral.safetensors").card["epochs"] == 1


def test_a_training_stays_quiet_and_errors_keep_their_status(tmp_path):
    "Nothing goes to stdout but one line; a wrong option has status 2 also without a reader"
    done = run_shell("ddpm_train spiral --epochs 1 --quiet | head -1", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs/spiral.safetensors\n", "")
    assert run_shell("ddpm_train spiral --epochs ten 2>&1 | true", tmp_path).returncode == 2


def test_letters_that_stdout_lacks_do_no_harm(tmp_path):
    "A console without η"
    line = "PYTHONIOENCODING=ascii ddpm_sample spiral --sampler ddim --steps 2 --n 4 --quiet"
    done = run_shell(line, tmp_path)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    assert "DDIM" in done.stdout and (tmp_path/"samples.png").exists()


@pytest.mark.parametrize("line", [
    "ddpm_sample spiral --n 4 --quiet", "ddpm_sample --help", "ddpm_train --help",
    "ddpm_fld numbers --n 4 --steps 1 --quiet 2>&1"])
def test_lost_output_is_an_error(tmp_path, line):
    done = run_shell(f"{line} >/dev/full", tmp_path)
    assert done.returncode == 1
    if "2>&1" not in line: assert done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_name_is_printed_as_one_line(tmp_path):
    done = run_shell("ddpm_sample spiral --n 4 --quiet --out $'a\\nb.png'", tmp_path)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("a\\nb.png: ") and (tmp_path/"a\nb.png").exists()


# What goes wrong is said in one line

TRAIN = "--size 8 --channels 8 --epochs 1 --quiet"


def save_squares(folder: str | Path, count: int = 24) -> None:
    "A folder of small images"
    os.makedirs(folder)
    for i in range(count):
        pixels = np.full((12, 12, 3), 10 * i, np.uint8)
        pixels[3:9, 3:9] = (255, 0, 10 * i)
        Image.fromarray(pixels).save(os.path.join(folder, f"{i}.png"))


@pytest.fixture
def squares(tmp_path) -> Path:
    "A folder to work in, which holds a folder of images, pics, and a link to itself, loop"
    save_squares(tmp_path/"pics")
    (tmp_path/"loop").symlink_to("loop")
    np.savez(tmp_path/"two.npz", a=np.zeros((9, 28, 28)), b=np.zeros((9, 28, 28)))
    np.save(tmp_path/"one.npy", np.zeros((9, 28, 28)))
    return tmp_path


@pytest.mark.parametrize("line, message", [
    ("ddpm_train '~nobody-here/x'", "data must be the path of a folder"),
    ("ddpm_train pics --out '~nobody-here/x.safetensors'", "--out must be the path of a file"),
    ("ddpm_train pics --finetune '~nobody-here/x.pt'", "must be the path of a file"),
    ("ddpm_reference '~nobody-here/x'", "data must be the path of a folder"),
    ("ddpm_fld '~nobody-here/x'", "source must be the path of a file"),
    ("ddpm_fld numbers --reference '~nobody-here/x'", "reference must be the path of a file"),
    ("ddpm_fld numbers --out '~nobody-here/x.json'", "--out must be the path of a file"),
    ("ddpm_sample '~nobody-here/x.pt'", "must be the path of a file"),
    ("ddpm_sample spiral --out '~nobody-here/x.png'", "--out must be the path of a file"),
    ("ddpm_sample loop", "there is no model 'loop'"),
    ("ddpm_train loop", "there is no folder 'loop'"),
    ("ddpm_train pics --out loop/x.safetensors", "cannot write loop/x.safetensors"),
    ("ddpm_reference loop", "nor a folder"),
    ("ddpm_fld loop", "there is no 'loop' that can be measured"),
    ("ddpm_train pics --channels 1000000000", "--channels must be a whole number in 1 … 1024"),
    ("ddpm_train pics --size 99999", "--size must be a whole number in 1 … 2048"),
    ("ddpm_fld one.npy --n 5", "--n can be chosen for a model only"),
    ("ddpm_fld two.npz", "only one array, not a, b"),
    ("ddpm_measure one.npy --seed 5 loop", "there is no folder 'loop'"),
    ("ddpm_measure one.npy one.npy --steps 5", "--steps can be chosen for a model only"),
    ("ddpm_measure spiral one.npy", "spiral must be images in color or gray"),
    ("ddpm_sample shapes --guidance 1e39", "--guidance must lie in -100 … 100"),
    (f"ddpm_train pics --lr 1e9 {TRAIN}", "a smaller --lr"),
    (f"ddpm_train pics --lr 1e9 --batch 4 {TRAIN}", "a smaller --lr"),
])
def test_an_error_is_one_line(squares, line, message, monkeypatch, capsys):
    "In this process, which is quicker"
    name, *words = shlex.split(line)
    monkeypatch.chdir(squares)
    monkeypatch.setattr(sys, "argv", [name, *words])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # set back after the test
    with pytest.raises(SystemExit) as stop, torch.random.fork_rng():
        getattr(denoising_diffusion, name)()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1), err
    assert message in err


def test_a_deleted_folder_is_one_line(tmp_path):
    "Of our own, or of a library that can't work there"
    for line in (f"ddpm_train ../pics --out {tmp_path}/a.safetensors", "ddpm_fld . --out a.json"):
        done = run_shell(f"mkdir gone; cd gone; rmdir ../gone; {line}", tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_training_that_diverges_late_names_its_checkpoint(squares):
    "The checkpoint keeps the old learning rate, so a smaller one needs another file"
    program = "import sys; from denoising_diffusion import cli; real = cli.train\n"
    program += "def train(*args, **options):\n    real(*args, **options)\n"
    program += "    raise FloatingPointError('Try a smaller lr or grad_clip.')\n"
    program += "cli.train = train; sys.argv = ['ddpm_train', *sys.argv[1:]]; cli.ddpm_train()"
    done = subprocess.run([sys.executable, "-c", program, "spiral", "--epochs", "1", "--quiet"],
                          cwd=squares, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == ("ddpm_train: Try a smaller --lr; then remove runs/spiral.pt first, "
                           "or name another --out\n")


def test_few_images_have_no_validation(tmp_path):
    save_squares(tmp_path/"few", 10)
    done = run_shell(f"ddpm_train few {TRAIN.removesuffix(' --quiet')}", tmp_path)
    assert done.returncode == 0 and "no validation loss is computed" in done.stderr


def test_names_that_are_no_utf8(tmp_path):
    "A folder, and the file to write, where the shell's letters are ASCII"
    if sys.platform == "darwin": pytest.skip("its file names are UTF-8")
    save_squares(tmp_path/os.fsdecode(b"\xe9\xff"))
    done = run_shell(f"ddpm_train $'\\351\\377' {TRAIN}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    [weights], [card] = (tmp_path/"runs").glob("*.safetensors"), (tmp_path/"runs").glob("*.md")
    assert r"ddpm_train $'\xe9\xff' --epochs 1" in card.read_text(encoding="utf-8")
    assert load_pretrained(weights).card["command"].startswith(r"ddpm_train $'\xe9\xff'")
    ascii_only = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    line = f"{ascii_only} ddpm_train spiral --epochs 1 --quiet --out é.safetensors"
    done = run_shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path/"é.md").read_text(encoding="utf-8").startswith("# é\n")
