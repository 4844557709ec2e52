"""Every `ddpm_…` command that is written down is one that runs: in README.md and CONTRIBUTING.md,
on the cards of weights, in notebooks and their saved outputs, in scripts, and in the commands' own
help. Each is parsed as it is written, and run with tiny numbers, in a folder that holds what it
names. Nothing is downloaded."""
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, read_nb
from PIL import Image

import denoising_diffusion as package
from denoising_diffusion import cli, outputs, recipes, shell
from denoising_diffusion.data import find_device
from denoising_diffusion.frechet import load_reference
from denoising_diffusion.pretrained import load_pretrained, pretrained_names, save_pretrained

COMMANDS = {name: getattr(package, name)
            for name in ("ddpm_sample", "ddpm_train", "ddpm_fld", "ddpm_reference", "ddpm_measure")}
WEIGHTS = ROOT/"denoising_diffusion"/"weights"
START = r"(?:^[ \t>]*(?:[!$] ?)?(?:[A-Z_]+=\S+ )*|&& *|made by |(?P<quote>[`'\"]))"
COMMAND = re.compile(START + r"(?=(?P<line>ddpm_\w+(?![\w(])[^\n]*))", re.M)


class Written(NamedTuple):
    "A command, and where it is written"
    where: str
    line: str

    @property
    def name(self) -> str: return self.line.split()[0]


# Finding them

def find_commands(text: str) -> list[str]:
    "The command lines in a text; a bare name is one, a Python call or a word of a sentence is none"
    found = []
    for match in COMMAND.finditer(re.sub(r"\s*\\+\n\s*", " ", text)):
        line, quote = match["line"], match["quote"]
        if quote:
            if quote not in line: continue  # it ends on another line
            line = line.split(quote)[0]
        line = re.split(r"`|&&|;| [|>#] ?|\\n", line)[0].strip()
        is_function = line in package.__all__ and line not in COMMANDS  # such as ddpm_rule
        is_pattern = re.search(r"[…{}]|\.\.\.", line)
        if re.match(r"ddpm_\w+( |$)", line) and not is_function and not is_pattern:
            found.append(line)
    return found


def cell_texts(path: Path) -> Iterator[str]:
    "The sources of a notebook, and the text that its cells have printed"
    for cell in read_nb(path)["cells"]:
        yield cell["source"]
        for output in cell.get("outputs", []):
            yield "".join(output.get("text", []))
            yield "".join(output.get("data", {}).get("text/plain", []))


def card_texts() -> Iterator[tuple[str, str]]:
    "The entries of each card that hold a command"
    for name in pretrained_names():
        card = load_pretrained(name).card
        for key in ("command", "started_from"): yield f"card of {name}", card.get(key, "")
    for path in sorted((WEIGHTS/"references").glob("*.safetensors")):
        yield f"card of {path.stem}", load_reference(path.stem).card["command"]


def texts() -> Iterator[tuple[str, str]]:
    "(where, text) of all that may hold commands"
    files = [ROOT/"README.md", ROOT/"CONTRIBUTING.md", *sorted(WEIGHTS.rglob("*.md"))]
    files += [path for folder in ("experiments", "tools")
              for path in sorted((ROOT/folder).glob("*.py"))]
    for path in files: yield path.name, path.read_text(encoding="utf-8")
    for path in sorted((ROOT/"nbs").glob("*.ipynb")):
        for text in cell_texts(path): yield path.name, text
    yield from card_texts()
    for name, command in COMMANDS.items():
        yield f"{name} --help", shell._parser(command).format_help()


def written() -> list[Written]:
    "Each command once for each place"
    return list(dict.fromkeys(Written(where, line) for where, text in texts()
                              for line in find_commands(text)))


WRITTEN = written()
LINES = list(dict.fromkeys(w.line for w in WRITTEN if " " in w.line))


# Parsing and running them

def parse(line: str) -> dict:
    "The options of a command line; a `SystemExit` if it isn't right"
    name, *words = shlex.split(line, comments=True)
    if name not in COMMANDS: raise SystemExit(f"there is no command {name}")
    return vars(shell._parser(COMMANDS[name]).parse_args(words))


def save_images(folder: Path, count: int, side: int, mode: str = "RGB") -> None:
    "A folder of images, no two alike"
    folder.mkdir(parents=True)
    for i in range(count):
        image = Image.new(mode, (side, side))
        color = (40 + i, 200 - i, 90)[:len(mode)]
        image.paste(color if mode == "RGB" else color[0], (2, 2, 4 + i % 4, side - 2))
        image.save(folder/f"{i}.png")


def save_image(path: Path) -> None:
    "An image, black above and white below"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (8, 8))
    image.paste(255, (0, 4, 8, 8))
    image.save(path)


def tiny_pictures(size: int) -> package.GaussianDiffusion:
    "A diffusion of color images, as small as can be"
    return recipes.picture_diffusion(size, channels=8)


def make_model(path: Path, size: str | None = None, labels: str | None = None) -> None:
    "A model of color images where a command names one, with the labels that it asks for"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = sorted({*labels.split(",")}) if labels else []
    sides = cli._read_size(size) or 8
    model = recipes.picture_diffusion(sides, channels=8, num_classes=len(names) or None)
    save_pretrained(model, path, card=dict(class_names=names) if names else None)


def make_points(path: Path) -> None:
    "A model of points where a command writes a table"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_pretrained(recipes.find_recipe(torch.rand(8, 2)).diffusion, path)


def make_data(path: Path, size: str | None) -> None:
    "What a training reads: a table, arrays, or a folder of images"
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = cli._read_size(size) or 8
    if path.suffix == ".csv": path.write_text("x,y\n0,1\n1,2\n2,0\n")
    elif path.suffix == ".npz": np.savez(path, images=np.zeros((4, 8, 8), np.uint8))
    else: save_images(path, 4, sides if isinstance(sides, int) else min(sides))


def prepare(name: str, given: dict) -> list[str]:
    "Make in this folder what a command reads; return options that make it quick"
    if given.get("out"): Path(given["out"]).parent.mkdir(parents=True, exist_ok=True)
    for option in ("model", "autoguide", "finetune"):
        path = Path(given.get(option) or "spiral")
        if path.suffix and str(given.get("out")).endswith(".csv"): make_points(path)
        elif path.suffix: make_model(path, given.get("size"), given.get("labels"))
    for option in ("start", "mask"):
        if given.get(option): save_image(Path(given[option]))
    if name == "ddpm_sample": return ["--n", "2", "--steps", "2"]
    if name == "ddpm_train": return prepare_training(given)
    if name == "ddpm_reference": return prepare_reference(given)
    if name == "ddpm_measure": return prepare_comparison(given)
    return prepare_measure(given)


def prepare_training(given: dict) -> list[str]:
    if given["data"] in recipes.recipes: return ["--epochs", "1", "--batch", "2048"]
    data, quick = Path(given["data"]), ["--epochs", "1", "--batch", "4"]
    if str(data) not in ("mnist", "fashion_mnist"): make_data(data, given["size"])
    if given["finetune"] or data.suffix: return quick
    return [*quick, "--size", "8", "--channels", "8"]


def prepare_reference(given: dict) -> list[str]:
    if given["data"] not in ("mnist", "fashion_mnist"):
        for kind in ("a", "b"): save_images(Path(given["data"])/kind, 150, 28, "L")
    return ["--epochs", "1"]


def prepare_measure(given: dict) -> list[str]:
    source, reference = Path(given["source"]), Path(given["reference"])
    if reference.suffix: shutil.copy(WEIGHTS/"references"/"mnist-1.safetensors", reference)
    if source.suffix in (".safetensors", ".pt"):
        save_pretrained(load_pretrained("numbers"), source)
    elif source.suffix: np.save(source, np.random.default_rng(0).random((9, 28, 28)) * 2 - 1)
    elif given["source"] not in pretrained_names(): save_images(source, 9, 28, "L")
    is_images = source.is_dir() or source.suffix in (".npy", ".npz")
    return [] if is_images else ["--n", "4", "--steps", "2"]


def prepare_comparison(given: dict) -> list[str]:
    "Images and real ones in the files or folders that a command names; a model draws few"
    rng, model = np.random.default_rng(0), Path(given["drawn"]).suffix in (".safetensors", ".pt")
    for place in [Path(given["real"]), *([] if model else [Path(given["drawn"])])]:
        images = rng.integers(0, 256, (40, 8, 12, 3), dtype=np.uint8)
        if place.suffix == ".npy": np.save(place, images)
        elif place.suffix == ".npz": np.savez(place, images=images)
        elif str(place) not in (*pretrained_names(), "mnist", "fashion_mnist"):
            save_images(place, 40, 8)
    if model: make_model(Path(given["drawn"]))
    is_drawn = model or given["drawn"] in pretrained_names()
    return ["--epochs", "1", *(["--n", "8", "--steps", "2"] if is_drawn else [])]


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    "A folder with a few digits in the files of MNIST, which are only ever drawn here"
    folder, rng = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for split, count in (("train", 300), ("t10k", 200)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for i, label in enumerate(labels): images[i, 4:24, 2 * label + 2:2 * label + 6] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder/f"{split}-{kind}-ubyte").write_bytes(head + array.tobytes())
    return folder


@pytest.fixture
def small_world(tmp_path, digits, monkeypatch) -> Path:
    """An empty folder to work in; MNIST is a few digits, networks of images are narrow, and nothing
    is compiled, timed or run on a GPU"""
    def load_small(name: str | Path, trust: bool = False) -> package.GaussianDiffusion:
        if str(name) not in ("pokemon", "pokemon_weak"): return load_pretrained(name)
        small = tiny_pictures(48)
        small.name, small.card = str(name), load_pretrained(name).card
        return small

    for network in (recipes.UNet, recipes.UNetConditioned):
        def narrow(channels, width, T, network=network, **options):
            return network(channels, 8, T, **options)
        monkeypatch.setattr(recipes, network.__name__, narrow)
    for module in (cli, recipes): monkeypatch.setattr(module, "load_pretrained", load_small)
    monkeypatch.setattr(cli, "_compile_network", lambda diffusion: None)
    monkeypatch.setattr(outputs, "is_bf16_fast", lambda device: False)
    monkeypatch.setattr(cli, "find_device", lambda name: find_device("cpu"))
    monkeypatch.setenv("DENOISING_DIFFUSION_DATA", str(digits))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, monkeypatch) -> None:
    "Run a command line as a shell would, but quickly"
    name, *words = shlex.split(line, comments=True)
    quick = prepare(name, parse(line))
    monkeypatch.setattr(sys, "argv", [name, *words, *quick, "--quiet"])
    monkeypatch.setattr("warnings.showwarning", lambda *args, **kwargs: None)
    with torch.random.fork_rng(): COMMANDS[name]()


def test_there_are_commands():
    "Some are found in each kind of place"
    places = {w.where for w in WRITTEN}
    assert {"README.md", "CONTRIBUTING.md", "spiral.md", "62_pokemon.ipynb"} <= places
    assert {"card of mnist-1", "card of pokemon"} <= places
    assert {line.split()[0] for line in LINES} == set(COMMANDS)


def test_the_commands_are_those_installed():
    text = (ROOT/"settings.ini").read_text(encoding="utf-8")
    assert set(re.findall(r"^\s+(ddpm_\w+)=", text, flags=re.M)) == set(COMMANDS)


@pytest.mark.parametrize("command", WRITTEN, ids=lambda w: f"{w.where}: {w.line}")
def test_a_command_is_right(command):
    "Its name and its options are those of the parser, and nothing is missing"
    if command.line in COMMANDS: return  # a name in a sentence
    parse(command.line)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_runs(line, small_world, monkeypatch, capsys):
    run(line, monkeypatch)
    assert capsys.readouterr().out.count("\n") == 1  # one line, that says what was done


# Each check can fail

@pytest.mark.parametrize("text, found", [
    ("```sh\nddpm_sample spiral --n 3  # points\n```", ["ddpm_sample spiral --n 3"]),
    ("ddpm_train a \\\n    --epochs 3\n", ["ddpm_train a --epochs 3"]),
    ("Say `ddpm_fld numbers --n 9`, or `ddpm_fld`.", ["ddpm_fld numbers --n 9", "ddpm_fld"]),
    ("A=1 ddpm_sample spiral && ddpm_fld a.npy", ["ddpm_sample spiral", "ddpm_fld a.npy"]),
    ("| started from | a, made by ddpm_train b --size 8 |", ["ddpm_train b --size 8"]),
    ("test_eq(card, 'ddpm_train x')\n!ddpm_fld a", ["ddpm_train x", "ddpm_fld a"]),
    ("`ddpm_rule` is no command, `ddpm_judge` is", ["ddpm_judge"]),
    ("ddpm_sample('spiral')\nuse ddpm_sample now\nddpm_fld: wrong\n`ddpm_train …`", []),
    ("f'ddpm_train {name}'", []),
])
def test_commands_are_found(text, found): assert find_commands(text) == found


@pytest.mark.parametrize("line", [
    "ddpm_sample", "ddpm_sample spiral --half", "ddpm_sample spiral --n many", "ddpm_judge mnist",
    "ddpm_train spiral shapes", "ddpm_fld --n 3", "ddpm_sample spiral --power 0.5",
])
def test_a_wrong_command_is_caught(line):
    with pytest.raises(SystemExit): parse(line)


@pytest.mark.parametrize("line", [
    "ddpm_sample nowhere", "ddpm_sample spiral --labels 7", "ddpm_train spiral --size 8",
    "ddpm_sample spiral --sampler euler", "ddpm_fld spiral", "ddpm_sample spiral --eta 0.5",
    "ddpm_fld numbers --reference none", "ddpm_reference letters/", "ddpm_measure spiral mnist",
    "ddpm_measure numbers mnist --encoder none",
])
def test_a_command_that_cannot_run_is_caught(line, small_world, monkeypatch):
    if line.startswith("ddpm_reference"): monkeypatch.setattr(Path, "is_dir", lambda self: False)
    with pytest.raises(SystemExit) as stop: run(line, monkeypatch)
    assert stop.value.code == 2
