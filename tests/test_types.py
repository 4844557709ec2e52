"Type checkers know the package: a user's script passes, and wrong calls are reported."
import ast
import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
from conftest import ROOT, load_tool

TYPED = ROOT/"tests"/"typed"
SCRIPTS = [str(TYPED/"user.py"), str(TYPED/"wrong.py")]
STUBS = sorted((ROOT/"denoising_diffusion").glob("[!_]*.pyi"))


def run(*command: str) -> subprocess.CompletedProcess:
    "A Python tool, run at the root as `python -m …`"
    environment = dict(os.environ, MYPYPATH=str(ROOT), PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=600)


def lines_of(errors: list[tuple[str, int]]) -> dict[str, list[int]]:
    "The lines with errors of each script"
    return {name: sorted({line for path, line in errors if path.endswith(name)})
            for name in ("user.py", "wrong.py")}


def check_mypy(cache: str) -> dict[str, list[int]]:
    "What mypy reports"
    if find_spec("mypy") is None: pytest.skip("mypy isn't installed")
    done = run("mypy", "--strict", "--no-error-summary", "--cache-dir", cache, *SCRIPTS)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error:", done.stdout, flags=re.M)
    return lines_of([(path, int(line)) for path, line in found])


def check_pyright() -> dict[str, list[int]]:
    "What pyright reports"
    if find_spec("pyright") is None: pytest.skip("pyright isn't installed")
    if run("pyright", "--version").returncode: pytest.skip("pyright can't fetch its program here")
    done = run("pyright", "--outputjson", "--pythonpath", sys.executable, *SCRIPTS)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [d for d in json.loads(done.stdout)["generalDiagnostics"] if d["severity"] == "error"]
    return lines_of([(d["file"], d["range"]["start"]["line"] + 1) for d in found])


@pytest.fixture(scope="session", params=["mypy", "pyright"])
def reported(request, tmp_path_factory) -> dict[str, list[int]]:
    "The lines that a checker reports in each script"
    if request.param == "pyright": return check_pyright()
    return check_mypy(str(tmp_path_factory.mktemp("mypy")))


def test_a_users_script_has_no_error(reported): assert reported["user.py"] == []


def test_wrong_calls_are_reported(reported):
    source = (TYPED/"wrong.py").read_text(encoding="utf-8")
    marked = [i for i, line in enumerate(source.splitlines(), 1) if "# error" in line]
    assert len(marked) == 12 and reported["wrong.py"] == marked


# The stubs

@pytest.fixture(scope="session")
def tool(): return load_tool("stubs")


def parameters(node: ast.FunctionDef) -> list[str]:
    "The names of a function's parameters"
    args = node.args
    both = [arg.arg for arg in (args.vararg, args.kwarg) if arg]
    return sorted([arg.arg for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs]] + both)


def functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    "The functions and methods of a stub, by their dotted names"
    found = [(n.name, n) for n in tree.body if isinstance(n, ast.FunctionDef)]
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    members = [(cls.name, node) for cls in classes for node in cls.body]
    found += [(f"{name}.{n.name}", n) for name, n in members if isinstance(n, ast.FunctionDef)]
    named = {name: node for name, node in reversed(found)}  # of a property the getter
    return [(name, node) for name, node in named.items() if not name.endswith("__call__")]


def found_at(module, name: str):
    "What a dotted name stands for; of a property or a classmethod its function"
    for part in name.split("."): module = getattr(module, part)
    if isinstance(module, property): return module.fget
    return getattr(module, "__func__", module)


@pytest.mark.parametrize("path", STUBS, ids=lambda p: p.stem)
def test_parameters_are_those_of_the_modules(path):
    "With the methods that are patched in, and the options that are passed on"
    module = import_module(f"denoising_diffusion.{path.stem}")
    stated = functions(ast.parse(path.read_text(encoding="utf-8")))
    for name, node in stated:
        there = inspect.signature(found_at(module, name)).parameters
        assert parameters(node) == sorted(there), name


@pytest.mark.parametrize("path", STUBS, ids=lambda p: p.stem)
def test_every_public_name_is_in_the_stub(path, tool):
    stated = {tool.name_of(node) for node in ast.parse(path.read_text(encoding="utf-8")).body
              if not isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr))}
    assert set(import_module(f"denoising_diffusion.{path.stem}").__all__) <= stated


def test_the_stubs_are_up_to_date(tool):
    present = {path: path.read_text(encoding="utf-8") for path in tool.FOLDER.glob("*.pyi")}
    assert tool.differences(tool.stubs(), present) == []


def test_a_stub_that_differs_is_caught(tool):
    path = tool.FOLDER/"a.pyi"
    assert "+def f(): ..." in tool.differences({path: "def f(): ...\n"}, {path: ""})
    assert "-x: int" in tool.differences({}, {path: "x: int\n"})
    assert tool.differences({path: "x: int\n"}, {path: "x: int\n"}) == []


@pytest.mark.parametrize("source, annotation", [
    ("int | None", "int | None"), ("tuple[int, ...]", "tuple[int, ...]"),
    ("dict", "dict[Any, Any]"),
    ("Callable | A", "Callable[..., Any] | A"), ("Callable[[A], B]", "Callable[[A], B]"),
    ("'A | None'", "A | None"), ("list['A']", "list[A]"),
    ("Literal['noise', 'v']", "Literal['noise', 'v']"),
])
def test_annotations_are_completed(tool, source, annotation):
    assert ast.unparse(tool.plain(tool.expression(source))) == annotation
