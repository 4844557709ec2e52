import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT/"tools"), str(ROOT/"experiments")]  # scripts import their neighbors


@pytest.fixture(scope="session")
def root() -> Path: return ROOT


def load_tool(name: str) -> ModuleType:
    "tools/NAME.py or experiments/NAME.py as a module"
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def readme_tool() -> ModuleType: return load_tool("readme")


def read_nb(path: Path) -> dict:
    "A notebook, with every cell's source as one string"
    nb = json.loads(Path(path).read_text(encoding="utf-8"))
    for cell in nb["cells"]: cell["source"] = "".join(cell["source"])
    return nb
