"A closed stdout or stderr, or a reader that goes away, must not stop a command, nor harm a file."
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from denoising_diffusion import load_pretrained

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def run_shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    "Run a line of a shell that has the commands of this environment; the status is `ddpm_…`'s"
    programs = Path(sys.executable).parent
    lines = ["set -o pipefail", line.replace("ddpm_", f"{programs}/ddpm_")]
    shell = shutil.which("bash") or pytest.skip("needs bash")
    return subprocess.run([shell, "-c", "\n".join(lines)], cwd=cwd, capture_output=True, text=True,
                          timeout=300)


@pytest.mark.parametrize("streams", [
    "<&- >&- 2>&-", "2>&1 | head -c 1", ">/dev/full 2>/dev/full"])
def test_a_training_goes_on_without_a_reader(tmp_path, streams):
    done = run_shell(f"ddpm_train spiral --epochs 1 {streams}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr and "Exception" not in done.stderr
    files = {path.name for path in (tmp_path/"runs").iterdir()}
    assert files == {"spiral.safetensors", "spiral.md", "spiral.pt"}
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
