"""One way to keep results: JSON in nbs/results, one row a line, written whole or not at all."""
import json
from collections.abc import Iterable
from pathlib import Path

from denoising_diffusion.files import write_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/"nbs"/"results"


def _to_json(value: object) -> str: return json.dumps(value, ensure_ascii=False)


def _entry_text(name: str, entry: object) -> str:
    is_table = isinstance(entry, list) and entry and isinstance(entry[0], dict)
    if not is_table: return f"{_to_json(name)}: {_to_json(entry)}"
    rows = ",\n".join(_to_json(row) for row in entry)
    return f"{_to_json(name)}: [\n{rows}\n]"


def to_text(results: dict) -> str:
    "JSON with a line for each entry; in an entry that is a list of dicts, a line for each of them"
    entries = ",\n".join(_entry_text(name, entry) for name, entry in results.items())
    return f"{{\n{entries}\n}}\n"


def read_results(path: Path) -> dict:
    "All entries of a file by name; none if there is no file yet"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_results(path: Path, results: dict) -> None:
    "Write all entries"
    text = to_text(results)
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def add_result(
    path: Path,
    name: str,
    entry: object,  # plain values, lists and dicts
    order: Iterable[str] = (),  # names in the order of the file; others follow as they came
) -> None:
    "Add one entry to a file, or replace it"
    results = read_results(path) | {name: entry}
    names = [known for known in order if known in results]
    write_results(path, {known: results[known] for known in [*names, *results]})
