"""Networks of one's own are trained, saved, loaded by `trust` alone, and leave their wrappers."""
import copy
import importlib
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from denoising_diffusion import (
    ConditionalMLP, GaussianDiffusion, UNet, cosine_beta_schedule, load_pretrained, sample,
    save_pretrained, train)
from denoising_diffusion import networks
from denoising_diffusion.checkpoints import load_checkpoint, read_checkpoint, write_checkpoint
from denoising_diffusion.files import open_tensors, write_tensors
from denoising_diffusion.pretrained import find_diffusion

MODULE = '''
from pathlib import Path

import torch
from torch import nn

from denoising_diffusion import ConditionalMLP

Path(__file__).with_name("imported").touch()
made = []


class Net(nn.Module):
    def __init__(self, width=8, num_classes=None):
        super().__init__()
        made.append(width)
        self.config = dict(width=width, num_classes=num_classes)
        self.num_classes = num_classes
        self.inner = nn.Sequential(nn.Linear(3, width), nn.SiLU())
        self.last = nn.Linear(width, 2)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x, t, labels=None):
        if self.training: self.seen += 1
        shift = 0 if labels is None else labels[:, None] / 2
        return self.last(self.inner(torch.cat([x, t[:, None] / 10], dim=1))) + shift


class Derived(ConditionalMLP):
    def forward(self, x, t, *labels): return -super().forward(x, t, *labels)


class Claims:
    __class__ = nn.Module
    def __init__(self, **options): made.append("claims")


def function(**options):
    made.append("function")
    return nn.Linear(2, 2)


thing = nn.Linear(2, 2)
'''
OPTIONS = dict(num_epochs=2, batch_size=16, seed=0, device="cpu", progress=False)
POINTS = torch.rand(32, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
IMAGES = POINTS.view(4, 1, 4, 4)
LABELS = torch.arange(32) % 2 + 1


@pytest.fixture
def own(tmp_path, monkeypatch):
    "A module outside the package; `own.forget()` makes it new, as to another program"
    folder = tmp_path/"modules"
    folder.mkdir()
    (folder/"ownnets.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    trace = folder/"imported"

    def forget() -> None:
        sys.modules.pop("ownnets", None)
        trace.unlink(missing_ok=True)

    yield SimpleNamespace(module=importlib.import_module("ownnets"), trace=trace, forget=forget)
    forget()


def diffusion_of(network: nn.Module, shape=2) -> GaussianDiffusion:
    return GaussianDiffusion(cosine_beta_schedule(10), shape, network, prediction="v")


def assert_same(one: nn.Module, other: nn.Module) -> None:
    "To the last bit, with the same names"
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def both_files(diffusion, folder) -> list:
    "A file of `save_pretrained` and a checkpoint of `train`, of one network"
    train(diffusion, (POINTS, LABELS), **OPTIONS, checkpoint=folder/"own.pt")
    return [folder/"own.pt", save_pretrained(diffusion, folder/"own.safetensors")]


@pytest.mark.parametrize("kind", [".pt", ".safetensors"])
@pytest.mark.parametrize("load", [load_pretrained, find_diffusion])
def test_nothing_is_imported_without_trust(own, tmp_path, kind, load):
    diffusion = diffusion_of(own.module.Net(4, num_classes=2))
    [path] = [path for path in both_files(diffusion, tmp_path) if path.suffix == kind]
    own.forget()
    with pytest.raises(ValueError, match="its network is ownnets:Net, .* nothing was imported; "
                                         "pass trust=True if you trust this file and that module"):
        load(path)
    assert "ownnets" not in sys.modules and not own.trace.exists()
    state = torch.get_rng_state()
    loaded = load(path, trust=True)
    assert own.trace.exists() and type(loaded.denoise_fn) is sys.modules["ownnets"].Net
    assert torch.equal(torch.get_rng_state(), state)
    assert not loaded.training and loaded.num_classes == 2 and loaded.data_shape == (2,)
    assert_same(loaded, diffusion)
    drawn = [sample(d, 5, 2, seed=3, progress=False) for d in (loaded, diffusion)]
    torch.testing.assert_close(*drawn, rtol=0, atol=0)
    assert loaded.card["network"] == "ownnets:Net"
    assert loaded.card["network_options"] == dict(width=4, num_classes=2)


def test_the_card_names_the_network(own, tmp_path):
    path = save_pretrained(diffusion_of(own.module.Net(4)), tmp_path/"own.safetensors",
                           card=dict(network="another", seed=1))
    card = load_pretrained(path, trust=True).card
    assert card["network"] == "ownnets:Net" and card["seed"] == 1
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "| network options | width 4, num_classes None |" in text
    known = save_pretrained(diffusion_of(ConditionalMLP(10, 4)), tmp_path/"known.safetensors",
                            card=dict(network="small"))
    assert load_pretrained(known).card["network"] == "small"  # the user's own entry


def test_a_class_derived_from_the_package_is_ones_own(own, tmp_path):
    diffusion = diffusion_of(own.module.Derived(10, 4, num_classes=2))
    for path in both_files(diffusion, tmp_path):
        with pytest.raises(ValueError, match="network is ownnets:Derived"): load_pretrained(path)
        loaded = load_pretrained(path, trust=True)
        assert type(loaded.denoise_fn) is own.module.Derived
        assert_same(loaded, diffusion)


def test_a_class_of_a_script(monkeypatch, own, tmp_path):
    main = sys.modules["__main__"]
    Net = type("ScriptNet", (own.module.Net,), {})
    for name in ("__main__", "__mp_main__"):  # the second in processes of torch.multiprocessing
        Net.__module__ = name
        folder = tmp_path/name
        folder.mkdir()
        paths = both_files(diffusion_of(Net(4, num_classes=2)), folder)
        monkeypatch.setattr(main, "ScriptNet", Net, raising=False)
        for path in paths: assert type(load_pretrained(path, trust=True).denoise_fn) is Net
        monkeypatch.delattr(main, "ScriptNet")
        for path in paths:
            with pytest.raises(ValueError, match="__main__:ScriptNet can't be imported: it was "
                               "made in a notebook or a script, so define or import ScriptNet"):
                load_pretrained(path, trust=True)


def test_training_resumes(own, tmp_path):
    def new() -> GaussianDiffusion:
        torch.manual_seed(0)
        return diffusion_of(own.module.Net(4, num_classes=2))

    whole, parts, options = new(), new(), dict(OPTIONS, lr_schedule=None)
    train(whole, (POINTS, LABELS), **options)
    train(parts, (POINTS, LABELS), **dict(options, num_epochs=1), checkpoint=tmp_path/"own.pt")
    resumed = new()
    train(resumed, (POINTS, LABELS), **options, checkpoint=tmp_path/"own.pt", resume=True)
    assert resumed.history.mean_batch_loss == whole.history.mean_batch_loss
    assert_same(resumed, whole)
    again = new()
    assert load_checkpoint(again, tmp_path/"own.pt") == 2
    assert_same(again, whole)
    with pytest.raises(ValueError, match="another diffusion"):
        load_checkpoint(diffusion_of(own.module.Net(5, num_classes=2)), tmp_path/"own.pt")


# Files of strangers

NAMES = ["os:system", "builtins:eval", "builtins:exec", "builtins:print", "subprocess:run",
         "ownnets:function", "ownnets:Claims", "ownnets:thing", "ownnets:made", "ownnets:nn",
         "ownnets:Net.forward", "ownnets:Net.__init__", "ownnets:nothing", "nosuch:Net",
         "torch:load", "torch.hub:load", "importlib:import_module", "__main__:nothing",
         "", ":", "..", "..:Net", "../ownnets:Net", "ownnets", "ownnets.Net", "ownnets:", ":Net",
         "ownnets:Net()", "ownnets:Net ", "ownnets;Net", "ownnets\n:Net", "own-nets:Net",
         "a\0b:Net", "a" * 10**5, "a." * 10**4 + "b:Net", "ownnets:" + "N" * 10**4, "Linear", "Net",
         None, 0, 1.5, True, [], ["ownnets:Net"], {}, {"ownnets": "Net"}, ["UNet"]]


def with_entry(path, name, value, folder):
    "The same file with another entry of the network; the checksums are right"
    changed = folder/f"changed{path.suffix}"
    if path.suffix == ".pt":
        state = read_checkpoint(path)
        state["network"] = dict(state["network"], **{name: value})
        write_checkpoint(changed, state)
    else:
        with open_tensors(path, "denoising_diffusion", "save_pretrained") as (tensors, about): pass
        about = json.loads(json.dumps(about)) | {name: value}
        write_tensors(changed, tensors, denoising_diffusion=about)
    return changed


@pytest.mark.parametrize("kind", [".pt", ".safetensors"])
def test_no_name_in_a_file_imports_or_calls_anything_else(own, tmp_path, kind, monkeypatch):
    diffusion = diffusion_of(own.module.Net(4, num_classes=2))
    [path] = [path for path in both_files(diffusion, tmp_path) if path.suffix == kind]
    own.forget()
    asked = []

    def import_and_tell(module: str):
        asked.append(module)
        return importlib.import_module(module)

    monkeypatch.setattr(networks, "import_module", import_and_tell)
    files = []
    for name in NAMES:
        try: files.append((name, with_entry(path, "network", name, tmp_path).read_bytes()))
        except ValueError: assert kind == ".pt"  # it isn't even written
    assert len(files) > 30
    for trust in (False, True):
        for name, content in files:
            (tmp_path/f"changed{kind}").write_bytes(content)
            with pytest.raises(ValueError, match="changed"):
                load_pretrained(tmp_path/f"changed{kind}", trust=trust)
        if not trust: assert asked == [] and not own.trace.exists() and "ownnets" not in sys.modules
    assert {"os", "builtins", "ownnets", "nosuch"} <= set(asked)
    assert all(networks._is_class_path(f"{module}:Net") for module in asked)
    assert sys.modules["ownnets"].made == []  # neither the function nor what claims to be a network


@pytest.mark.parametrize("kind", [".pt", ".safetensors"])
@pytest.mark.parametrize("options, says", [
    (None, "options"), ([], "options"), ("width", "options"), (dict(width="x"), "can't be loaded"),
    (dict(width=5), "has shape"), (dict(width=-1), "can't be loaded"), (dict(deep=1), "deep"),
    (dict(width=10**8), "far larger"), (dict(width=10**18), "can't be loaded"),
    (dict(self=1), "self"), ({"": 1}, "can't be loaded")])
def test_other_options_are_refused(own, tmp_path, kind, options, says):
    diffusion = diffusion_of(own.module.Net(4, num_classes=2))
    [path] = [path for path in both_files(diffusion, tmp_path) if path.suffix == kind]
    with pytest.raises(ValueError, match=says):
        load_pretrained(with_entry(path, "options", options, tmp_path), trust=True)


def test_damage_is_found_before_the_import(own, tmp_path):
    paths = both_files(diffusion_of(own.module.Net(4, num_classes=2)), tmp_path)
    own.forget()
    for path in paths:
        content = bytearray(path.read_bytes())
        place = content.find(b"ownnets:Net") + 8
        content[place] ^= 1  # Net becomes Oet
        path.write_bytes(content)
        with pytest.raises(ValueError, match="checksum|SHA-256"): load_pretrained(path, trust=True)
    assert not own.trace.exists()


def test_what_its_code_raises_becomes_a_value_error(own, tmp_path, monkeypatch):
    diffusion = diffusion_of(own.module.Net(4, num_classes=2))
    paths = both_files(diffusion, tmp_path)

    def fail(self, *_, **__): raise OSError("no disk")

    monkeypatch.setattr(own.module.Net, "__init__", fail)
    for path in paths:
        with pytest.raises(ValueError, match="own.* can't be loaded: OSError.*no disk"):
            load_pretrained(path, trust=True)
    with pytest.raises(ValueError, match="must build the network again: OSError.*no disk"):
        save_pretrained(diffusion, tmp_path/"other.safetensors")
    assert not (tmp_path/"other.safetensors").exists()


# Wrappers

@pytest.fixture(scope="module")
def process_group(tmp_path_factory):
    "One process that stands for many"
    file = tmp_path_factory.mktemp("group")/"init"
    torch.distributed.init_process_group("gloo", init_method=file.as_uri(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def in_place(network: nn.Module) -> nn.Module:
    network.compile(backend="eager")
    return network


def inside(network: nn.Module) -> nn.Module:
    "A network of which one part is compiled"
    name, part = next(iter(network.named_children()))
    setattr(network, name, torch.compile(part, backend="eager"))
    return network


def compiled(network: nn.Module) -> nn.Module: return torch.compile(network, backend="eager")
def parallel(network: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(network)


WRAPPERS = dict(
    compiled=compiled, in_place=in_place, inside=inside, parallel=parallel,
    data_parallel=nn.DataParallel, parallel_compiled=lambda network: parallel(compiled(network)),
    compiled_parallel=lambda network: compiled(parallel(network)))


PAIRS = [(wrap, kind) for wrap in WRAPPERS for kind in ("Net", "ConditionalMLP")]


@pytest.mark.parametrize("wrap, kind", [*PAIRS, ("parallel", "UNet")])
@pytest.mark.filterwarnings("ignore:resuming")  # with more epochs
def test_networks_leave_their_wrappers(own, tmp_path, process_group, wrap, kind):
    make = dict(Net=lambda: own.module.Net(4, num_classes=2),
                ConditionalMLP=lambda: ConditionalMLP(10, 4, num_classes=2),
                UNet=lambda: UNet(1, 4, 10, channel_multipliers=[1], block_groups=2))[kind]
    torch.manual_seed(0)
    plain = make()
    wrapped = WRAPPERS[wrap](copy.deepcopy(plain))
    shape, data = (2, (POINTS, LABELS)) if kind != "UNet" else ((1, 4, 4), IMAGES)
    diffusion = diffusion_of(wrapped, shape)
    train(diffusion, data, **OPTIONS, checkpoint=tmp_path/"own.pt")
    expected = diffusion_of(plain, shape)
    train(expected, data, **OPTIONS)
    for path in (save_pretrained(diffusion, tmp_path/"own.safetensors"), tmp_path/"own.pt"):
        loaded = load_pretrained(path, trust=True)
        assert type(loaded.denoise_fn) is type(plain)
        assert_same(loaded, expected)
    # a checkpoint of a wrapped network is resumed by a plain one, and the other way round
    for network in (make(), WRAPPERS[wrap](make())):
        resumed = diffusion_of(network, shape)
        train(resumed, data, **dict(OPTIONS, num_epochs=3), resume=tmp_path/"own.pt")
        assert len(resumed.history) == 3 and load_checkpoint(resumed, tmp_path/"own.pt") == 2
        path = save_pretrained(resumed, tmp_path/"again.safetensors")
        assert_same(load_pretrained(path, trust=True), expected)


@pytest.mark.parametrize("wrap", ["compiled", "parallel"])
@pytest.mark.filterwarnings("error:.*may draw at random")  # which the wrapper itself doesn't
def test_a_wrapped_network_resumes_without_a_warning(own, tmp_path, process_group, wrap):
    diffusion = diffusion_of(WRAPPERS[wrap](own.module.Net(4)))
    for _ in range(2):
        train(diffusion, POINTS, **OPTIONS, checkpoint=tmp_path/"own.pt", resume=True)
