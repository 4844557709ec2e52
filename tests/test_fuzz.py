"""The readers of files refuse damages; `tools/fuzz.py` does the same with many more inputs."""
import time
from collections import Counter

import pytest
from conftest import load_tool

fuzz = load_tool("fuzz")


@pytest.mark.parametrize("name", fuzz.READERS)
def test_damaged_files_are_refused(name, tmp_path):
    found = [outcome for _, outcome, _ in fuzz.fuzz(name, range(300), 0, tmp_path)]
    assert not [outcome for outcome in found if outcome.startswith("FAILED")]
    counts = Counter(found)
    assert counts["refused"] > 100 and counts["read"] > 0


def test_an_input_depends_on_its_number_alone(tmp_path):
    reader = fuzz.READERS["safetensors"](tmp_path)
    first = [fuzz.damaged(reader, 3, number) for number in range(20)]
    assert first == [fuzz.damaged(reader, 3, number) for number in range(20)]
    assert first != [fuzz.damaged(reader, 4, number) for number in range(20)]


def test_some_inputs_share_values_and_some_are_huge(tmp_path):
    reader = fuzz.READERS["checkpoints"](tmp_path)
    zeros = [fuzz.padding(reader, 0, number) for number in range(1000)]
    assert 5 < sum(map(bool, zeros)) < 50 and max(zeros) > 10**9
    shared = {fuzz.share(fuzz.Random(seed), reader.originals[0]) for seed in range(20)}
    assert len(shared) > 10 and max(map(len, shared)) < 2 * 10**6
    for data in shared: assert fuzz.outcome(reader, tmp_path/"a.pt", data) in ("read", "refused")
    whole = reader.originals[0]
    assert fuzz.outcome(reader, tmp_path/"a.pt", whole, zeros=10**11) == "refused"


def toy(read, judge=lambda result, data: None):
    return fuzz.Reader([b"x" * 100], ".toy", read, judge=judge)


def foreign(path): return {}["missing"]
def starved(path): raise MemoryError
def large(path): return bytes([1]) * 400_000_000
def slow(path):
    while True: pass
def waiting(path): time.sleep(100)


@pytest.mark.parametrize(("read", "outcome"), [
    (lambda path: None, "read"), (foreign, "FAILED: KeyError"), (starved, "FAILED: MemoryError"),
    (large, "FAILED: "), (slow, "FAILED: too long"),
    (waiting, "FAILED: too long")])
def test_the_program_sees_failures(read, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    monkeypatch.setattr(fuzz, "WAIT", 1 if read is waiting else 60)
    monkeypatch.setattr(fuzz, "MEGABYTES", 100)
    found = fuzz.outcome(toy(read), tmp_path/"input.toy", b"data")
    assert found.startswith(outcome)


def test_other_contents_are_a_failure(tmp_path):
    wrong = toy(lambda path: 3, judge=lambda result, data: "other contents")
    assert fuzz.outcome(wrong, tmp_path/"input.toy", b"") == "FAILED: other contents"


def test_the_command_counts(capsys):
    assert fuzz.main("safetensors", "--n", "20") == 0
    assert "20 inputs" in capsys.readouterr().out
