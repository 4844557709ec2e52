"""Damages files at random and reads them, to find a damage that the package doesn't refuse.

    python tools/fuzz.py safetensors --n 100000 --seed 0
    python tools/fuzz.py safetensors --seed 0 --only 4711  # one input again, with its traceback

Each input depends on the seed and its number alone. A reader may return what the file holds, or
raise a ValueError of the package. The program counts these outcomes, and ends with exit status 1 if
there was another: a foreign exception, more than 5 s or 1 GB for an input, or other contents
although the file claims a sum. `--keep FOLDER` keeps the inputs that failed.

To add a reader, write a function that takes a folder and returns a `Reader`, and decorate it with
`@reader`: its name is then a choice of the program."""
import argparse
import faulthandler
import gc
import json
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

import torch

import denoising_diffusion
from denoising_diffusion import (
    ConditionalMLP, GaussianDiffusion, UNetConditioned, cosine_beta_schedule, load_pretrained,
    save_pretrained)
from denoising_diffusion.files import _join, _split

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


def outcome(reader: Reader, path: Path, data: bytes, show: bool = False) -> str:
    "`read`, `refused`, or what went wrong, which starts with FAILED; `show` prints the error"
    path.write_bytes(data)
    start, before = time.perf_counter(), peak_memory()
    signal.signal(signal.SIGALRM, stop)
    warnings.simplefilter("ignore")
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        wrong = reader.judge(reader.read(path), data)
        result = f"FAILED: {wrong}" if wrong else "read"
    except TooLong: result = "FAILED: too long"
    except Exception as error:
        if show: traceback.print_exc()
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


def fuzz(
    name: str, numbers: range, seed: int, folder: Path, show: bool = False,
) -> Iterator[tuple[int, str, bytes]]:
    "Number, outcome and bytes of each input"
    chosen = READERS[name](folder)
    path = folder/f"input{chosen.suffix}"
    for number in numbers:
        data = damaged(chosen, seed, number)
        yield number, outcome(chosen, path, data, show), data


READERS: dict[str, Callable[[Path], Reader]] = {}


def reader(make: Callable[[Path], Reader]) -> Callable[[Path], Reader]:
    "Add a reader to the choices of the program"
    READERS[make.__name__] = make
    return make


# Values in JSON

def nested(levels: int) -> list:
    "Lists in one another"
    value: list = []
    for _ in range(levels): value = [value]
    return value


VALUES = (
    None, True, 0, 1, -1, 2, 41, 2**31, 2**63, 10**30, 1.5, -0.5, 1e308, float("nan"),
    float("inf"), "", "x", "2", "\ud800", "x" * 1000, [], [None], [1, 2], [[]], ["a", "b"],
    [-2], [2.5], [10**9], [1] * 1000, {}, {"x": 1}, {"": None}, nested(50), nested(500))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    "Each dict or list in a value, with each of its keys or indices"
    keys = range(len(value)) if isinstance(value, list) else value
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)): yield from places(value[key])


def change_entry(random: Random, value: Any) -> None:
    "Replace, remove or add one entry anywhere in a value, which is changed in place"
    found = [*places(value)] if isinstance(value, (dict, list)) else []
    if not found: return
    inside, key = random.choice(found)
    other = random.choice([*VALUES, random.choice(found)[0], inside[key]])
    kind = random.choice(["replace", "replace", "replace", "remove", "add"])
    if kind == "remove": del inside[key]
    elif kind == "replace": inside[key] = json.loads(json.dumps(other))
    elif isinstance(inside, list): inside.insert(key, json.loads(json.dumps(other)))
    else: inside[random.choice(["x", f"{key}x"])] = json.loads(json.dumps(other))


# Safetensors: diffusions with their cards

CARD = dict(data="two kinds of points", seed=0, loss=0.5, class_names=["a", "b"],
            guidance_scale=1.5, sampling=dict(sampler="unipc", steps=3, eta=0.5, spacing=0.6))
KIND = "denoising_diffusion"


def with_header(text: str, rest: bytes) -> bytes:
    "A file with this text as its header"
    header = text.encode(errors="surrogatepass")
    return len(header).to_bytes(8, "little") + header + rest


def parts_of(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    "Header and tensors of a file, or None if it is damaged too much for that"
    try:
        header, rest = _split(data)
        return (header, rest) if isinstance(header["__metadata__"], dict) else None
    except (ValueError, LookupError, RecursionError): return None


def change_header(random: Random, data: bytes) -> bytes:
    "Another value of an entry of the header, or an entry twice"
    parts = parts_of(data)
    if not parts: return data
    header, rest = parts
    change_entry(random, header)
    text = json.dumps(header, separators=(",", ":"))
    key = random.choice([*header, "x"])
    if random.random() < 0.1: text = f'{{{json.dumps(key)}:{random.choice(["0", "{}"])},{text[1:]}'
    return with_header(text, rest)


def change_card(random: Random, data: bytes) -> bytes:
    "Another value of an entry of the card; mostly with right checksums, which let it pass"
    parts = parts_of(data)
    try: card = json.loads(parts[0]["__metadata__"][KIND])
    except (ValueError, LookupError, TypeError, RecursionError): return data
    header, rest = parts
    for _ in range(random.choice([1, 1, 2])): change_entry(random, card)
    if random.random() < 0.1: card = random.choice(VALUES)
    if random.random() < 0.7:
        try: return _join(header, rest, KIND, card)
        except (ValueError, LookupError, TypeError): pass
    header["__metadata__"][KIND] = json.dumps(card)
    return with_header(json.dumps(header, separators=(",", ":")), rest)


def change_tensor(random: Random, data: bytes) -> bytes:
    "Other bytes, shapes, dtypes or names of tensors, with right checksums"
    parts = parts_of(data)
    if not parts: return data
    header, rest = parts
    metadata = header.pop("__metadata__")
    if random.random() < 0.5:
        size, place = random.choice([2, 4, 8]), random.randrange(len(rest) + 1) & ~7
        value = random.choice([b"\0" * size, b"\xff" * size, random.randbytes(size)])
        rest = rest[:place] + value + rest[place + size:]
    else: change_entry(random, header)
    try: return _join(header, rest, KIND, json.loads(metadata[KIND]))
    except (ValueError, LookupError, TypeError): return data


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    "Whether names, dtypes, shapes and all bits are equal"
    def described(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
        return {name: (t.dtype, t.shape, t.contiguous().numpy().tobytes())
                for name, t in tensors.items()}
    return described(one) == described(other)


def all_tensors(diffusion: GaussianDiffusion) -> dict[str, torch.Tensor]:
    return diffusion.state_dict() | dict(betas=diffusion.betas64)


@reader
def safetensors(folder: Path) -> Reader:
    "Files of `save_pretrained`: a network of points and one of images"
    torch.manual_seed(0)
    points = ConditionalMLP(5, 4, num_layers=2, num_classes=2)
    images = UNetConditioned(1, 4, 5, num_classes=2, channel_multipliers=[1], block_groups=2,
                             num_attention_heads=2)
    shapes, originals, known = {points: 2, images: (1, 4, 4)}, [], {}
    for network, shape in shapes.items():
        diffusion = GaussianDiffusion(cosine_beta_schedule(5), shape, network, prediction="v")
        path = save_pretrained(diffusion, folder/"original.safetensors", card=CARD)
        originals.append(path.read_bytes())
        claim = parts_of(originals[-1])[0]["__metadata__"]["sha256"]
        known[claim] = all_tensors(load_pretrained(path))

    def judge(diffusion: GaussianDiffusion, data: bytes) -> str | None:
        claim = parts_of(data)[0]["__metadata__"].get("sha256")
        if claim not in known or same_tensors(all_tensors(diffusion), known[claim]): return None
        return "other weights although the checksum is the old one"

    return Reader(originals, ".safetensors", load_pretrained,
                  (change_header, change_card, change_tensor), judge)


def main(*arguments: str) -> int:
    "Run the program; returns the number of failures"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--n", type=int, default=1000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one input to read again")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that failed")
    options = parser.parse_args(arguments or None)
    numbers, single = range(options.n), options.only is not None
    if single: numbers = range(options.only, options.only + 1)
    counts: Counter[str] = Counter()
    start, before, failures = time.perf_counter(), peak_memory(), 0
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder:
        inputs = fuzz(options.reader, numbers, options.seed, Path(folder), show=single)
        for number, found, data in inputs:
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
    print(f"{options.reader}, seed {options.seed}: {counts.total():,} inputs, {shown}; "
          f"{seconds:.0f} s, {grown} MB of memory")
    return failures


if __name__ == "__main__":
    faulthandler.enable()
    limit_memory()
    sys.exit(min(main(), 1))
