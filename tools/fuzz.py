"""Damages files at random and reads them, to find a damage that the package doesn't refuse.

    python tools/fuzz.py safetensors --n 100000 --seed 0
    python tools/fuzz.py safetensors --seed 0 --only 4711  # one input again, with its traceback

Each input depends on the seed and its number alone. A reader may return what the file holds, or
raise a ValueError of the package. The program counts these outcomes, and ends with exit status 1 if
there was another: a foreign exception, more than 5 s or 1 GB for an input, or other contents
although the file claims a sum. `--keep FOLDER` keeps the inputs that failed.

To add a reader: a function that takes a folder and returns a `Reader`, and its name in `READERS`."""
import argparse
import faulthandler
import gc
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import denoising_diffusion

PACKAGE = str(Path(denoising_diffusion.__file__).parent)
SECONDS, MEGABYTES = 5, 1000  # the most that an input may take
FAST = Path("/dev/shm")  # files in memory, where the system has them

Mutation = Callable[[Random, bytes], bytes]


@dataclass
class Reader:
    "What a reader reads, and how"
    originals: list[bytes]  # small valid files
    suffix: str  # of the files
    read: Callable[[Path], Any]  # reads a file that may be damaged
    mutations: tuple[Mutation, ...] = ()  # those that know the format, besides `MUTATIONS`
    # what is wrong with a result of `read`, given the file's bytes, or None
    judge: Callable[[Any, bytes], str | None] = lambda result, data: None


# Damages of any file

def some_place(random: Random, data: bytes) -> tuple[int, int]:
    "The ends of a random part: mostly short, and often near the start, where the headers are"
    end = len(data) if random.random() < 0.5 else min(len(data), 256)
    start = random.randrange(end + 1)
    return start, min(len(data), start + int(2 ** random.uniform(0, 9)))


def flip_bits(random: Random, data: bytes) -> bytes:
    "One bit flipped, or a few"
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 8, 64])):
        if changed: changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut_end(random: Random, data: bytes) -> bytes:
    "Only the start"
    return data[:random.randrange(len(data) + 1)]


def cut_part(random: Random, data: bytes) -> bytes:
    "Without a part"
    start, end = some_place(random, data)
    return data[:start] + data[end:]


def insert(random: Random, data: bytes) -> bytes:
    "Random bytes, or equal ones, put in or appended"
    place = random.choice([some_place(random, data)[0], len(data)])
    size = int(2 ** random.uniform(0, 10))
    added = random.choice([random.randbytes(size), bytes([random.randrange(256)]) * size])
    return data[:place] + added + data[place:]


def repeat_part(random: Random, data: bytes) -> bytes:
    "A part twice, or in another place"
    start, end = some_place(random, data)
    place = random.choice([start, some_place(random, data)[0]])
    return data[:place] + data[start:end] + data[place:]


def set_number(random: Random, data: bytes) -> bytes:
    "A number of 1, 2, 4 or 8 bytes set to one that is at a limit, or to a random one"
    size = random.choice([1, 2, 4, 8])
    place, most = some_place(random, data)[0], 2 ** (8 * size) - 1
    chosen = [0, 1, most, most // 2, most // 2 + 1, random.randint(0, most)]
    number = random.choice(chosen).to_bytes(size, random.choice(["little", "big"]))
    return data[:place] + number + data[place + size:]


MUTATIONS: tuple[Mutation, ...] = flip_bits, cut_end, cut_part, insert, repeat_part, set_number


def splice(random: Random, first: bytes, second: bytes) -> bytes:
    "The start of one file and the end of another"
    place = random.randrange(len(first) + 1)
    return first[:place] + second[random.choice([place, random.randrange(len(second) + 1)]):]


def damaged(reader: Reader, seed: int, number: int) -> bytes:
    "Input `number` of this seed: one damage, or a few"
    random = Random(f"{seed} {number}")
    data = random.choice(reader.originals)
    kinds = [*MUTATIONS, *reader.mutations * 2]  # often one that knows the format
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        if random.random() < 0.05: data = splice(random, data, random.choice(reader.originals))
        else: data = random.choice(kinds)(random, data)
    return data


# Reading within limits

class TooLong(BaseException):
    "An input took more than `SECONDS`; no `except Exception` catches it"


def stop(*_: Any) -> None: raise TooLong


def peak_memory() -> int:
    "The most memory that this process has had, in megabytes"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1_000_000 if sys.platform == "darwin" else 1_000)


def is_refusal(error: BaseException) -> bool:
    "Whether an error is the package's own, and not for want of memory"
    if type(error) is not ValueError: return False
    reasons, reason = [], error
    while reason: reasons, reason = [*reasons, reason], reason.__cause__ or reason.__context__
    starved = any(isinstance(e, MemoryError) or "allocate memory" in str(e) for e in reasons)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return place.filename.startswith(PACKAGE) and not starved


def outcome(reader: Reader, path: Path, data: bytes) -> str:
    "`read`, `refused`, or what went wrong, which starts with FAILED"
    path.write_bytes(data)
    start, before = time.perf_counter(), peak_memory()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        wrong = reader.judge(reader.read(path), data)
        result = f"FAILED: {wrong}" if wrong else "read"
    except TooLong: result = "FAILED: too long"
    except Exception as error:
        result = "refused" if is_refusal(error) else f"FAILED: {type(error).__name__}: {error}"
    finally: signal.setitimer(signal.ITIMER_REAL, 0)
    if time.perf_counter() - start > SECONDS: return "FAILED: too long"
    grown = peak_memory() - before
    return f"FAILED: {grown} MB" if grown > MEGABYTES else result


def limit_memory() -> None:
    "Let the process have 4 GB of addresses more than now, so that it can't take the whole machine"
    pages = Path("/proc/self/statm")
    if not pages.exists(): return
    most = int(pages.read_text().split()[0]) * resource.getpagesize() + 4_000_000_000
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def fuzz(name: str, numbers: range, seed: int, folder: Path) -> Iterator[tuple[int, str, bytes]]:
    "Number, outcome and bytes of each input"
    reader = READERS[name](folder)
    path = folder/f"input{reader.suffix}"
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop)
    for number in numbers:
        data = damaged(reader, seed, number)
        yield number, outcome(reader, path, data), data


# Readers

READERS: dict[str, Callable[[Path], Reader]] = {}


def main(*arguments: str) -> int:
    "Run the program; returns the number of failures"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--n", type=int, default=1000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one input to read again")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that failed")
    options = parser.parse_args(arguments or None)
    numbers = range(options.n)
    if options.only is not None: numbers = range(options.only, options.only + 1)
    faulthandler.enable()
    limit_memory()
    counts: Counter[str] = Counter()
    start, before, failures = time.perf_counter(), peak_memory(), 0
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder:
        for number, found, data in fuzz(options.reader, numbers, options.seed, Path(folder)):
            counts[found.split(":")[0]] += 1
            if not found.startswith("FAILED"): continue
            failures += 1
            print(f"input {number} of seed {options.seed}: {found[:300]}", flush=True)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep/f"{options.reader}-{options.seed}-{number}").write_bytes(data)
    gc.collect()
    seconds, grown = time.perf_counter() - start, peak_memory() - before
    shown = ", ".join(f"{count:,} {found}" for found, count in sorted(counts.items()))
    print(f"{options.reader}, seed {options.seed}: {shown}; {seconds:.0f} s, {grown} MB more memory")
    return failures


if __name__ == "__main__": sys.exit(min(main(), 1))
