"A module imports only from lower floors, and the check of it can fail."
import pytest
from floors import floors, own_imports, sources, stated, table, violations

FLOOR = dict(schedules=0, diffusion=1, sampling=3)


def test_the_house(root):
    floor, modules = floors(root/"nbs"), sources(root/"denoising_diffusion")
    assert floor, "no notebook exports a module"
    assert set(modules) == set(floor), "a module without a notebook, or a notebook not exported"
    assert not violations(modules, floor)


def test_the_table_of_contributing(root):
    "`python tests/floors.py` writes its last column"
    found = table(sources(root/"denoising_diffusion"), floors(root/"nbs"))
    assert stated((root/"CONTRIBUTING.md").read_text(encoding="utf-8")) == found


def test_a_wrong_table_is_caught():
    found = table(dict(sampling="from .schedules import a\nfrom .diffusion import b", schedules=""),
                  FLOOR)
    assert found == {"03": "00, 01", "00": ""}
    rows = "| m | `03_sampling` | the loop | 00, 01 |\n| | `00_schedules` → `b` | betas | |"
    assert stated(rows) == found
    assert stated(rows.replace("00, 01", "00")) != found


@pytest.mark.parametrize("name, source, says", [
    ("schedules", "from .diffusion import GaussianDiffusion",
     "floor 00 imports diffusion, of floor 01"),
    ("schedules", "from denoising_diffusion.sampling import Step",
     "floor 00 imports sampling, of floor 03"),
    ("schedules", "import denoising_diffusion.sampling as s",
     "floor 00 imports sampling, of floor 03"),
    ("schedules", "from . import diffusion", "floor 00 imports diffusion, of floor 01"),
    ("schedules", "def f():\n    from .sampling import Step",
     "schedules.py:2: floor 00 imports sampling"),
    ("diffusion", "from .diffusion import q", "floor 01 imports diffusion, of floor 01"),
    ("sampling", "from .schedules import *", "star import of schedules"),
    ("sampling", "from denoising_diffusion import GaussianDiffusion",
     "'GaussianDiffusion', which is on no floor"),
    ("sampling", "import denoising_diffusion", "which is on no floor"),
    ("stray", "import torch", "has no notebook"),
])
def test_a_planted_violation_is_caught(name, source, says):
    found = violations({name: source}, FLOOR)
    assert len(found) == 1 and says in found[0], found


def test_what_the_house_allows():
    source = ("import torch\nfrom torch import *\nfrom .schedules import a, b\n"
              "from denoising_diffusion.diffusion import c")
    assert violations(dict(sampling=source), FLOOR) == []
    assert [m for _, m, _ in own_imports(source)] == ["schedules", "diffusion"]


def test_a_circle_is_caught():
    "Of two modules that import one another, one stands below the other: its import is the fault."
    assert len(violations(dict(diffusion="from .sampling import Step",
                               sampling="from .diffusion import G"), FLOOR)) == 1
