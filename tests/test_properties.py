"""Every public function with wrong and unusual arguments: a right result, or our own error.

    PROPERTY_EXAMPLES=20000 pytest tests/test_properties.py  # minutes; 600 by default"""
import linecache
import math
import os
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn

import denoising_diffusion as dd
from calls import (
    CALLBACKS, FIXED, TENSORS_ONLY, UNCALLED, Call, make_calls, public_names)

PACKAGE = Path(dd.__file__).parent
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "600"))
bounded = settings(max_examples=EXAMPLES, derandomize=EXAMPLES <= 600, deadline=None,
                   database=None, suppress_health_check=[*HealthCheck])


def wild_values() -> list[Any]:
    "What a user may pass by mistake; each is made afresh"
    nan, inf = math.nan, math.inf
    return [
        None, True, False, "", "x", "7", b"7", -1, 0, 1, 2, 3, 7, 1.0, 0.5, 2.5, -0.5, nan, inf,
        -inf, 1e30, 2**70, -2**70, 1j, np.int64(2), np.int64(-3), np.float32(0.5), np.bool_(True),
        torch.tensor(2), torch.tensor(0.5), torch.tensor(True), torch.tensor(nan), [], (), {},
        [1], [1, 2], [1, 2, 3], [0.5, nan], [[0.1, 0.2], [0.3, 0.4]], [[1], [1, 2]], ["x"],
        [None], {1: 2}, {1, 2}, range(3), object(), int, nn.Linear, nn.Linear(2, 2), len,
        lambda *a: None, lambda *a: a[0], Path("nowhere"), Path("nowhere/x.png"), "nowhere.png",
        "nowhere.safetensors", "\0", np.zeros(0), np.zeros((2, 2)), np.zeros((3, 2))[::-1],
        np.full((2, 2), nan), np.array(["a"]), np.zeros((2, 2), dtype=np.int16),
        np.zeros(3, dtype=complex), np.array(None), torch.zeros(0), torch.zeros(0, 2),
        torch.zeros(2), torch.zeros(2, 2), torch.zeros(3, 2), torch.zeros(2, 3).T,
        torch.zeros(12, 2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float16),
        torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2, 2, dtype=torch.complex64),
        torch.full((2, 2), nan), torch.full((3, 2), inf), torch.ones(2, dtype=torch.long),
        torch.tensor([1, 2, 3]), torch.zeros(2, 2, device="meta"), torch.zeros(2, 2).to_sparse(),
        torch.zeros(4, 1, 8, 8), torch.zeros(1, 3, 8, 8), torch.full((4, 1, 8, 8), nan),
        torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4, 8, 8),
        torch.zeros(20, 1, 28, 28, dtype=torch.uint8), torch.Generator(), torch.float16, "cosine",
    ]


COUNT = len(wild_values())
# As in networks, NaN of the data may come out again
UNREAD = {"batched_metric", "random_flip", "Batches", "split_labels", "to_floats", "denoiser",
          "guided"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Call]]:
    return make_calls(tmp_path_factory.mktemp("calls"))


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    "No warnings, no open figures, and files that are written by mistake go to a temporary folder"
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    plt.close("all")


def is_ours(error: BaseException) -> bool:
    "Whether the package raised this itself: a ValueError or TypeError by a `raise` of its own"
    if not isinstance(error, (ValueError, TypeError, FloatingPointError)): return False
    trace = error.__traceback__
    if trace is None: return False
    while trace.tb_next: trace = trace.tb_next
    path = Path(trace.tb_frame.f_code.co_filename)
    line = linecache.getline(str(path), trace.tb_lineno)
    return path.is_relative_to(PACKAGE) and "raise" in line


def not_finite(result: Any) -> bool:
    "Whether a result holds NaN or infinity"
    if isinstance(result, torch.Tensor) and result.is_floating_point():
        return not result.isfinite().all()
    if isinstance(result, float): return not math.isfinite(result)
    if isinstance(result, (list, tuple)): return any(not_finite(part) for part in result)
    return False


def outcome(call: Call) -> str:
    "'result', 'our error', or what is wrong"
    function, arguments = call
    try: result = function(**arguments)
    except Exception as error:
        if is_ours(error): return "our error"
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "not finite" if not_finite(result) else "result"


def changeable(call: Call) -> list[str]: return [name for name in call[1] if name not in FIXED]


def is_users(name: str, value: Any) -> bool:
    "Whether this is a function of the user, whose errors are not ours"
    return name in CALLBACKS and callable(value)


def test_every_public_name_is_called(calls: dict[str, Callable[[], Call]]) -> None:
    missing = public_names() - {*calls} - {*UNCALLED}
    assert not missing and {*UNCALLED} <= public_names()


def test_the_calls_are_valid(calls: dict[str, Callable[[], Call]]) -> None:
    failing = {name: outcome(call()) for name, call in calls.items()}
    assert {name: what for name, what in failing.items() if what != "result"} == {}


@bounded
@given(st.data())
def test_a_right_result_or_our_own_error(calls: dict[str, Callable[[], Call]], data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(calls)), "function")
    function, arguments = calls[name]()
    names = changeable((function, arguments))
    if not names: return
    for changed in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2), "changed"):
        value = wild_values()[data.draw(st.integers(0, COUNT - 1), "value")]
        if not is_users(changed, value): arguments[changed] = value
    allowed = ["result", "our error"]
    if name in UNREAD or name.endswith(".forward"): allowed.append("not finite")
    assert outcome((function, arguments)) in allowed
    plt.close("all")


def other_forms(value: Any) -> list[Any]:
    "The same value in other forms that a user may have"
    if isinstance(value, bool) or value is None: return []
    if isinstance(value, int): return [np.int64(value), torch.tensor(value)]
    if isinstance(value, float):
        return [np.float64(value), torch.tensor(value, dtype=torch.float64)]
    if isinstance(value, torch.Tensor) and value.dtype != torch.bool:
        strided = torch.stack([value, value], dim=-1)[..., 0]
        return [value.numpy(), value.tolist(), strided]
    if isinstance(value, list) and all(isinstance(item, int) for item in value):
        return [tuple(value), np.array(value), torch.tensor(value)]
    if isinstance(value, Path): return [str(value)]
    return []


def same(a: Any, b: Any) -> bool:
    "Whether two results are equal, as far as they can be compared"
    if isinstance(a, torch.Tensor): return torch.allclose(a, torch.as_tensor(b), atol=1e-6)
    if isinstance(a, float): return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6)
    if isinstance(a, (list, tuple)) and not isinstance(b, str):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, nn.Module) or not isinstance(a, (int, str)): return type(a) is type(b)
    return a == b


def run(call: Call) -> Any:
    "The result of a call, with all generators at their start"
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    for value in call[1].values():
        if isinstance(value, torch.Generator): value.manual_seed(0)
    return call[0](**call[1])


def test_the_form_of_an_argument_does_not_matter(calls: dict[str, Callable[[], Call]]) -> None:
    wrong = []
    for name, make in calls.items():
        if name in TENSORS_ONLY: continue
        expected = run(make())
        for changed in changeable(make()):
            for form in other_forms(make()[1][changed]):
                function, arguments = make()
                arguments[changed] = form
                try: right = same(expected, run((function, arguments)))
                except Exception as error: right = f"{type(error).__name__}: {str(error)[:150]}"
                if right is not True: wrong.append((name, changed, type(form).__name__, right))
        plt.close("all")
    assert wrong == []
