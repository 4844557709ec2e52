"""How long a notebook takes to read: 200 words a minute, and six seconds a line of code.

    python tools/minutes.py          # write them into the notes at the head, and on the front page
    python tools/minutes.py --check  # say whether they agree, and change nothing

Counted is what a first reading needs. Left out are hidden and folded cells, and what the note says:
"You may skip “A” and “B”.", "You may stop after “A”.", "You may skip all exported code.". Titles of
sections stand in straight quotes there. Exercises always count, and their folded answers don't.
"""
import json
import re
from pathlib import Path

from fastcore.script import call_parse

NBS = Path(__file__).resolve().parent.parent/"nbs"
WORDS_A_MINUTE, SECONDS_A_LINE = 200, 6
KEPT = {"Exercises", "What we have now"}

_minutes = re.compile(r"About (\d+) minutes")
_skipped = re.compile(r"[Yy]ou may skip ([^.]*)\.")
_stop = re.compile(r'[Yy]ou may stop after "([^"]+)"')
_onwards = re.compile(r'from "([^"]+)" on\b')
_directive = re.compile(r"#\|\s*([\w-]+)")
_notebook = re.compile(r"\]\((\d\d_\w+)\.ipynb")
_target = re.compile(r"\]\([^)]*\)")


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str: return "".join(cell["source"])


def note_of(cells: list[dict]) -> str:
    "The note at the head: the first paragraph in italics"
    markdown = [source(cell) for cell in cells if cell["cell_type"] == "markdown"]
    return next((text.partition("\n")[0] for text in markdown if text.startswith("*For ")), "")


def words(text: str) -> int:
    "The words of a text; the target of a link is none, nor is a mark without a letter or digit"
    plain = _target.sub("]", text)
    return sum(bool(re.search(r"\w", word)) for word in plain.split())


def lines(code: str, exported: bool = True) -> int:
    "The lines of code that a reader sees"
    flags = {*_directive.findall(code)}
    if flags & {"hide", "default_exp", "code-fold"}: return 0
    if "export" in flags and not exported: return 0
    return sum(bool(line.strip()) and not line.startswith("#|") for line in code.splitlines())


def sections(cells: list[dict], exported: bool) -> dict[tuple[str, str], float]:
    "The minutes of each part, by the titles of its section and, if it has one, its sub-section"
    part = ("", "")
    found = {part: 0.0}
    for cell in cells:
        text = source(cell)
        if cell["cell_type"] == "code":
            found[part] += lines(text, exported) * SECONDS_A_LINE / 60
            continue
        for line in text.splitlines():
            if line.startswith("## "): part = (line[3:].strip(), "")
            if line.startswith("### "): part = (part[0], line[4:].strip())
            found.setdefault(part, 0.0)
            if not line.startswith("*For "): found[part] += words(line) / WORDS_A_MINUTE
    return found


def skipped(note: str, parts: list[tuple[str, str]]) -> set[tuple[str, str]]:
    "The parts that a first reading may leave out; a `SystemExit` if the note names none that is"
    texts = " ".join(_skipped.findall(note))
    named = {*re.findall(r'"([^"]+)"', texts), *_onwards.findall(note)}
    firsts = {title: i for i, (title, _) in reversed([*enumerate(parts)])}
    lasts = {title: i for i, (title, _) in enumerate(parts)}
    titles = {title for part in parts for title in part}
    wrong = {*named, *_stop.findall(note)} - titles
    if wrong: raise SystemExit(f"a note names what is no section of its own: {', '.join(wrong)}")
    after = [firsts[title] for title in _onwards.findall(note)]
    after += [lasts[title] + 1 for title in _stop.findall(note)]
    rest = parts[min(after):] if after else []
    left_out = {part for part in parts if named & {*part} - {""}} | {*rest}
    return {part for part in left_out if part[0] not in KEPT}


def reading(path: Path) -> float:
    "The minutes of a first reading"
    cells = cells_of(path)
    note = note_of(cells)
    found = sections(cells, "all exported code" not in note)
    left_out = skipped(note, [*found])
    return sum(minutes for part, minutes in found.items() if part not in left_out)


def rounded(minutes: float) -> int:
    "Up to the next five minutes"
    return max(5, -(-int(minutes + 0.999) // 5) * 5)


def said(path: Path) -> int | None:
    "The minutes that the note at the head says"
    match = _minutes.search(note_of(cells_of(path)))
    return int(match[1]) if match else None


def write(path: Path, minutes: int) -> None:
    "Change the minutes in the note at the head"
    text = path.read_text(encoding="utf-8")
    path.write_text(_minutes.sub(f"About {minutes} minutes", text, count=1), encoding="utf-8")


def in_hours(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest))


def paths(index: str, timed: dict[str, int]) -> dict[str, int]:
    "The minutes of each path of the front page, by its row: those of the notebooks it links"
    rows = re.findall(r'"(\| \*\*.+\|)\\n"', index)
    return {row: sum(timed[name] for name in _notebook.findall(row)) for row in rows}


def front_page(index: str, timed: dict[str, int]) -> str:
    "The front page with the times of its paths"
    for row, minutes in paths(index, timed).items():
        cells = row.split(" | ")
        index = index.replace(row, " | ".join([*cells[:-1], f"{in_hours(minutes)} |"]))
    return index


@call_parse
def main(check: bool = False):  # change nothing, and exit with 1 if a time is wrong
    "Write the minutes of each notebook into its note, and those of the paths on the front page"
    timed = {path: reading(path) for path in sorted(NBS.glob("[0-9]*.ipynb"))}
    wrong = [path for path, minutes in timed.items() if said(path) != rounded(minutes)]
    for path, minutes in timed.items():
        mark = f"  (it says {said(path)})" if path in wrong else ""
        print(f"{path.stem:16} {minutes:5.1f} → {rounded(minutes)}{mark}")
    home = NBS/"index.ipynb"
    index = home.read_text(encoding="utf-8")
    changed = front_page(index, {path.stem: rounded(m) for path, m in timed.items()})
    print("the front page " + ("agrees" if changed == index else "gives other times"))
    if check: raise SystemExit(1 if wrong or changed != index else 0)
    for path in wrong: write(path, rounded(timed[path]))
    home.write_text(changed, encoding="utf-8")
