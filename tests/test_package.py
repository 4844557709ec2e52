"What the installed package is: quiet at import, typed, complete as a wheel, with commands that exist."
import ast
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import entry_points

import pytest

EXPORTS = """linear_beta_schedule cosine_beta_schedule GaussianDiffusion randomly_set_unconditioned Step p_sample p_sample_loop
p_sample_loop_all ddim_sample ddim_sample_loop SinusoidalPositionEmbedding ConditionalChain ConditionalSkipConnection ConvEmbed
ResBlock scaled_dot_attention MultiheadAttention UNet UNetFixed UNetConditioned split_validation train batched_loss
batched_metric load_pretrained ddpm_sample ddpm_train LeNet5 frechet_distance fld ddpm_fld
Film make_film sample_film forward_film schedule_film guidance_film ddim_film""".split()
HEAVY = ["matplotlib", "PIL", "pooch", "scipy", "diffusers", "IPython", "ipywidgets", "nbdev"]

# Any socket, and any use of CUDA, ends the process; what was imported is printed.
WATCH = """
import sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise SystemExit(f"the network was called: {event} {args}")
sys.addaudithook(watch)
%s
import torch
assert not torch.cuda.is_initialized(), "CUDA was initialised"
print(*sorted(m for m in sys.modules if "." not in m))
"""


def settings(root):
    config = ConfigParser(delimiters=["="])
    config.read(root/"settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def run_watched(code, cwd):
    "The top-level modules that `code` brings in, in a process of its own"
    done = subprocess.run([sys.executable, "-c", WATCH % code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import denoising_diffusion", "from denoising_diffusion import GaussianDiffusion, UNet, p_sample_loop"])
def test_import_is_quiet(code, tmp_path):
    "No network, no CUDA, and nothing that sampling alone has no use for"
    assert not run_watched(code, tmp_path) & set(HEAVY)


def test_every_module_imports_without_network_or_cuda(root, tmp_path):
    names = [p.stem for p in (root/"denoising_diffusion").glob("*.py") if not p.stem.startswith("_")]
    assert names
    run_watched("\n".join(f"import denoising_diffusion.{n}" for n in names), tmp_path)


@pytest.mark.parametrize("name", EXPORTS)
def test_names_import_straight_from_the_package(name):
    assert callable(getattr(import_module("denoising_diffusion"), name))


def test_the_stub_says_the_same(root):
    "`__init__.pyi` gives type checkers the names that `__init__.py` gives on demand"
    import denoising_diffusion
    stub = ast.parse((root/"denoising_diffusion"/"__init__.pyi").read_text(encoding="utf-8"))
    stated = {n.module: [a.name for a in n.names] for n in stub.body if isinstance(n, ast.ImportFrom)}
    assert stated == {m: names.split() for m, names in denoising_diffusion._names.items()}
    assert set(EXPORTS) <= set(denoising_diffusion.__all__)


@pytest.mark.parametrize("name", sorted(set(import_module("denoising_diffusion").__all__) - set(EXPORTS)))
def test_whatever_else_is_offered_is_there(name): getattr(import_module("denoising_diffusion"), name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError): import_module("denoising_diffusion").no_such_name


def test_version(root):
    assert import_module("denoising_diffusion").__version__ == settings(root)["version"]


def test_commands_exist(root):
    stated = dict(line.split("=") for line in settings(root)["console_scripts"].split())
    installed = {e.name: e for e in entry_points(group="console_scripts") if e.name in stated}
    assert set(installed) == set(stated)
    assert all(callable(e.load()) and e.value == stated[n] for n, e in installed.items())


@pytest.fixture(scope="session")
def wheel(root, tmp_path_factory):
    "The names in a wheel built from a copy of the tree, so that nothing is left behind in it"
    here = tmp_path_factory.mktemp("wheel")
    shutil.copytree(root, here/"tree", symlinks=True,
                    ignore=shutil.ignore_patterns(".git", ".venv*", "build", "dist", "_proc", "_docs", "*.egg-info", "data", "runs"))
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index",
                           "-w", here/"out", here/"tree"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((here/"out").glob("*.whl"))) as z: return z.namelist()


def test_wheel_holds_every_module_and_py_typed(root, wheel):
    assert (root/"denoising_diffusion"/"py.typed").exists() and "denoising_diffusion/py.typed" in wheel
    assert {f"denoising_diffusion/{p.name}" for p in (root/"denoising_diffusion").glob("*.py")} <= set(wheel)


def test_wheel_holds_the_weights_and_their_cards(root, wheel):
    weights = sorted((root/"denoising_diffusion"/"weights").glob("*.safetensors"))
    assert {p.stem for p in weights} >= {"spiral", "shapes", "numbers_guided"}
    for p in weights:
        assert {f"denoising_diffusion/weights/{p.stem}{end}" for end in (".safetensors", ".md")} <= set(wheel)


def test_wheel_holds_judges_and_encoders(root, wheel):
    files = {p.relative_to(root).as_posix() for kind in ("judges", "encoders") for p in (root/"denoising_diffusion"/"weights"/kind).iterdir()}
    assert {f"denoising_diffusion/weights/{name}.safetensors" for name in ("judges/mnist-1", "encoders/pokemon-1")} <= files <= set(wheel)


def test_wheel_holds_nothing_else(wheel):
    assert {n.split("/")[0].split("-")[0] for n in wheel} == {"denoising_diffusion"}
    assert any(n.endswith("LICENSE") for n in wheel)
