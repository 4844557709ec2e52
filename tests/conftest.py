import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path: return ROOT


def load_tool(name: str):
    "tools/NAME.py as a module"
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT/"tools"/f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def readme_tool(): return load_tool("readme")


def read_nb(path) -> dict:
    "A notebook, with every cell's source as one string"
    nb = json.loads(Path(path).read_text(encoding="utf-8"))
    for cell in nb["cells"]: cell["source"] = "".join(cell["source"])
    return nb
