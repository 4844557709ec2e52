"The installed package: quiet at import, typed, complete as a wheel, with commands that exist."
import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_bytes
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from conftest import load_tool

EXPORTS = """
linear_beta_schedule cosine_beta_schedule logsnr_beta_schedule GaussianDiffusion
randomly_set_unconditioned Step reverse_process p_sample p_sample_loop p_sample_loop_all
time_grid sample ddim_sample ddim_sample_loop ddim_rule unipc_rule dpm_solver_rule heun_rule
ddpm_rule SinusoidalPositionEmbedding ConditionalChain ConditionalSkipConnection ConditionalMLP
ConvEmbed ResBlock scaled_dot_attention MultiheadAttention UNet UNetFixed UNetConditioned
split_validation train batched_loss batched_metric load_pretrained save_pretrained make_spiral
make_shapes load_mnist images_from_folder labelled_images_from_folder image_grid LeNet5
Reference frechet_distance fld report precision_recall picture_distance stepper Film make_film
sample_film forward_film schedule_film guidance_film ddim_film ddpm_sample ddpm_train ddpm_fld
ddpm_reference ddpm_measure resolve_sampling SeededNoise
""".split()
CACHES = {"__pycache__", ".ipynb_checkpoints", ".mypy_cache"}
NO_TRICKS = dict(filter="data") if hasattr(tarfile, "data_filter") else {}
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
    done = subprocess.run([sys.executable, "-c", WATCH % code], cwd=cwd, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("code", [
    "import denoising_diffusion",
    "from denoising_diffusion import GaussianDiffusion, UNet, p_sample_loop"])
def test_import_is_quiet(code, tmp_path):
    "No network, no CUDA, and nothing that sampling alone has no use for"
    assert not run_watched(code, tmp_path) & set(HEAVY)


def test_every_module_imports_without_network_or_cuda(root, tmp_path):
    names = [p.stem for p in (root/"denoising_diffusion").glob("*.py")
             if not p.stem.startswith("_")]
    assert names
    run_watched("\n".join(f"import denoising_diffusion.{n}" for n in names), tmp_path)


@pytest.mark.parametrize("name", EXPORTS)
def test_names_import_straight_from_the_package(name):
    assert callable(getattr(import_module("denoising_diffusion"), name))


def test_the_stub_says_the_same(root):
    "`__init__.pyi` gives type checkers the names that `__init__.py` gives on demand"
    import denoising_diffusion
    stub = ast.parse((root/"denoising_diffusion"/"__init__.pyi").read_text(encoding="utf-8"))
    imports = [n for n in stub.body if isinstance(n, ast.ImportFrom) and n.level]
    stated = {a.name for n in imports for a in n.names}
    assert stated == {name for names in denoising_diffusion._names.values()
                      for name in names.split()}
    assert set(EXPORTS) <= set(denoising_diffusion.__all__)


def test_each_name_is_what_its_module_has(root):
    "Also after all modules are imported: a name of ours must never turn out to be a module"
    package = import_module("denoising_diffusion")
    modules = [p.stem for p in (root/"denoising_diffusion").glob("*.py") if p.stem[0] != "_"]
    assert not set(modules) & set(package.__all__)
    for module in modules: import_module(f"denoising_diffusion.{module}")
    for name, module in package._module_of.items():
        expected = getattr(import_module(f"denoising_diffusion.{module}"), name)
        assert getattr(package, name) is expected


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError): import_module("denoising_diffusion").no_such_name


def test_version(root):
    assert import_module("denoising_diffusion").__version__ == settings(root)["version"]


def test_commands_exist(root):
    stated = dict(line.split("=") for line in settings(root)["console_scripts"].split())
    installed = {e.name: e for e in entry_points(group="console_scripts") if e.name in stated}
    assert set(installed) == set(stated)
    assert all(callable(e.load()) and e.value == stated[n] for n, e in installed.items())


BUILD = """
from setuptools import build_meta
print(build_meta.build_sdist("dist"))
"""


@pytest.fixture(scope="session")
def sdist(root, tmp_path_factory):
    "A source archive built from a copy of the tree, so that nothing is left behind in it; unpacked"
    here = tmp_path_factory.mktemp("sdist")
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", "build", "dist", "_proc", "_docs", "*.egg-info", "data", "runs")
    shutil.copytree(root, here/"tree", symlinks=True, ignore=left_out)
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=here/"tree", capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((here/"tree/dist").glob("*.tar.gz"))) as archive:
        archive.extractall(here/"unpacked", **NO_TRICKS)
    return next((here/"unpacked").iterdir())


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory):
    "A wheel built from the source archive"
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
           "--no-index"]
    done = subprocess.run([*pip, "-w", out, sdist], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive: yield archive


@pytest.fixture(scope="session")
def names(wheel): return wheel.namelist()


def test_sdist_holds_what_its_tests_need(root, sdist):
    for name in ("settings.ini", "README.md", "pytest.ini", "ruff.toml", "SECURITY.md"):
        assert (sdist/name).read_bytes() == (root/name).read_bytes()
    for folder in ("nbs", "tests", "tools", "experiments"):
        paths = [path for path in (root/folder).rglob("*") if path.is_file()]
        wanted = {path.relative_to(root) for path in paths if CACHES.isdisjoint(path.parts)}
        assert wanted <= {path.relative_to(sdist) for path in (sdist/folder).rglob("*")}


def test_links_of_the_description_work_elsewhere(root, sdist, wheel):
    "The README's links into the repository are absolute on PyPI, and lead to files that exist"
    description = load_tool("description")
    text = description.read_description(Path(wheel.filename))
    assert text.strip() == message_from_bytes((sdist/"PKG-INFO").read_bytes()).get_payload(
        decode=True).decode("utf-8").strip()
    assert description.relative(text) == [] != description.relative(
        (root/"README.md").read_text(encoding="utf-8"))
    version = f"/v{settings(root)['version']}/"
    inside = [link.split(version)[1] for link in description.targets(text) if version in link]
    assert len(inside) > 20 and all((root/path.split("#")[0]).exists() for path in inside)


def test_the_index_of_packages_shows_where_everything_is(root, wheel):
    "Links to the site, the source, the issues and the changes; the versions of Python"
    about = message_from_bytes(load_tool("description").read_metadata(Path(wheel.filename)))
    links = dict(line.split(", ") for line in about.get_all("Project-URL"))
    assert {*links} == {"Documentation", "Source", "Issues", "Changelog"}
    entries = settings(root)
    assert links["Documentation"] == f"{entries['doc_host']}{entries['doc_baseurl']}/"
    assert links["Changelog"].removeprefix(f"{links['Source']}/blob/main/") == "CHANGELOG.md"
    assert about["Version"] == entries["version"]
    head = "Programming Language :: Python :: "
    stated = [line.removeprefix(head) for line in about.get_all("Classifier") if head in line]
    assert stated == ["3", *entries["python_versions"].split()]
    assert about["Requires-Python"] == f">={entries['min_python']}"


def test_wheel_holds_every_module_and_py_typed(root, names):
    assert (root/"denoising_diffusion"/"py.typed").exists()
    assert "denoising_diffusion/py.typed" in names
    assert {f"denoising_diffusion/{p.name}"
            for p in (root/"denoising_diffusion").glob("*.py")} <= set(names)


def test_wheel_holds_the_weights_and_their_cards(root, names):
    weights = sorted((root/"denoising_diffusion"/"weights").glob("*.safetensors"))
    assert {p.stem for p in weights} >= {"spiral", "shapes", "numbers_guided"}
    for p in weights:
        assert {f"denoising_diffusion/weights/{p.stem}{end}"
                for end in (".safetensors", ".md")} <= set(names)


def test_wheel_holds_references_and_encoders(root, names):
    folder = root/"denoising_diffusion"/"weights"
    paths = [p for kind in ("references", "encoders") for p in (folder/kind).iterdir()]
    files = {p.relative_to(root).as_posix() for p in paths}
    wanted = {f"denoising_diffusion/weights/{name}.safetensors"
              for name in ("references/mnist-1", "encoders/pokemon-1")}
    assert wanted <= files <= set(names)


def test_wheel_holds_the_stubs_and_the_page_of_a_film(root, names):
    stubs = {f"denoising_diffusion/{p.name}" for p in (root/"denoising_diffusion").glob("*.pyi")}
    assert len(stubs) > 20 and stubs <= set(names)
    assert {f"denoising_diffusion/{name}.html" for name in ("film", "player")} <= set(names)


def test_wheel_holds_nothing_else(names):
    assert {n.split("/")[0].split("-")[0] for n in names} == {"denoising_diffusion"}
    assert any(n.endswith("LICENSE") for n in names)
