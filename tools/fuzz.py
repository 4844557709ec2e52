"""Damages files at random and reads them, to find a damage that the package doesn't refuse.

    python tools/fuzz.py safetensors --n 100000 --seed 0
    python tools/fuzz.py safetensors --seed 0 --only 4711  # one input again, with its traceback

Each input depends on the seed and its number alone. A reader may return what the file holds, or
raise a ValueError of the package. The program counts these outcomes, and ends with exit status 1 if
there was another: a foreign exception, more than 5 s of processor time, 60 s of waiting or 1 GB for
an input, or other contents although the file claims a sum. `--keep FOLDER` keeps the inputs that
failed.

To add a reader, write a function that takes a folder and returns a `Reader`, and decorate it with
`@reader`: its name is then a choice of the program."""
import argparse
import faulthandler
import gc
import gzip
import io
import json
import math
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import torch
from PIL import Image

import denoising_diffusion
from denoising_diffusion import (
    ConditionalMLP, GaussianDiffusion, UNetConditioned, cosine_beta_schedule, images_from_folder,
    load_pretrained, save_pretrained)
from denoising_diffusion.data import read_idx
from denoising_diffusion.files import _join, _split
from denoising_diffusion.integrity import _check_archive

PACKAGE = str(Path(denoising_diffusion.__file__).parent)
SECONDS, WAIT, MEGABYTES = 5, 60, 1000  # the most that an input may take: of the processor, in all
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
    padded: bool = False  # whether some inputs end in zeros that take no space on the disk


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


def padding(reader: Reader, seed: int, number: int) -> int:
    "How many zeros follow the bytes of an input: of some, so many that they fit no memory"
    random = Random(f"{seed} {number} padding")
    if not reader.padded or random.random() > 0.02: return 0
    return int(10 ** random.uniform(6, 11.5))


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
    "An input took more than `SECONDS` or `WAIT`; no `except Exception` catches it"


def stop(*_: Any) -> None: raise TooLong


def set_timers(seconds: float, wait: float) -> None:
    "Call `stop` after so many seconds of processor time, or of waiting; 0 ends a timer"
    timers = {signal.ITIMER_PROF: (signal.SIGPROF, seconds),
              signal.ITIMER_REAL: (signal.SIGALRM, wait)}
    for timer, (number, limit) in timers.items():
        signal.signal(number, stop)
        signal.setitimer(timer, limit)


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


def outcome(reader: Reader, path: Path, data: bytes, zeros: int = 0, show: bool = False) -> str:
    "`read`, `refused`, or what went wrong, which starts with FAILED; `show` prints the error"
    path.write_bytes(data)
    if zeros: os.truncate(path, len(data) + zeros)
    start, before = time.process_time(), peak_memory()
    warnings.simplefilter("ignore")
    set_timers(SECONDS, WAIT)
    try:
        wrong = reader.judge(reader.read(path), data)
        result = f"FAILED: {wrong}" if wrong else "read"
    except TooLong: result = "FAILED: too long"
    except Exception as error:
        if show: traceback.print_exc()
        result = "refused" if is_refusal(error) else f"FAILED: {type(error).__name__}: {error}"
    finally: set_timers(0, 0)
    if time.process_time() - start > SECONDS: return "FAILED: too long"
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
        yield number, outcome(chosen, path, data, padding(chosen, seed, number), show), data


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
                  (change_header, change_card, change_tensor), judge, padded=True)


# Checkpoints of `train`

def odd_values(random: Random, x: Any) -> list[Any]:
    "Values of many kinds; x is the one that they replace"
    odd = [*VALUES, b"x", (1, 2), {1, 2}, 1j, torch.float16, torch.device("meta"), torch.Size([2]),
           torch.zeros(()), torch.zeros(0), torch.ones(3), torch.tensor(float("nan")),
           torch.ones(2, 2, dtype=torch.long), torch.zeros(1).expand(10**6, 10**6)]
    # huge, but small enough that a program may touch all of it
    size, dtypes = int(10 ** random.uniform(7, 8.5)), [torch.float32, torch.int64, torch.uint8]
    odd += [torch.zeros(1, dtype=dtype).expand(size) for dtype in dtypes]
    if not isinstance(x, torch.Tensor) or x.numel() > 10**6: return odd
    spoiled = x.detach().clone()
    if spoiled.is_floating_point() and spoiled.numel():
        spoiled.view(-1)[random.randrange(spoiled.numel())] = random.choice([float("inf"), -1e999])
    kinds = [spoiled, x.to("meta"), x[None], x.flatten()[:-1], x.to_sparse(), x.bool(), x.cfloat()]
    return odd + kinds * 3


def checkpoint_of(data: bytes) -> dict[str, Any] | None:
    "What is in a checkpoint, if its checksums are right: else saving it would give other weights"
    try:
        _check_archive(io.BytesIO(data))
        state = torch.load(io.BytesIO(data), weights_only=True)
        return state if isinstance(state, dict) else None
    except Exception: return None


def change_state(random: Random, data: bytes) -> bytes:
    "Another value of an entry of a checkpoint, or an entry less or more; the checksums are right"
    state = checkpoint_of(data)
    if state is None: return data
    for _ in range(random.choice([1, 1, 1, 2])):
        found = [*islice(places(state), 10_000)]  # of shared values there may be billions
        inside, key = random.choice(found)
        if random.random() < 0.3: inside, key = state, random.choice([*state])
        chosen = random.choice(odd_values(random, inside[key]))
        kind = random.choice(["replace", "replace", "replace", "remove", "add"])
        if kind == "remove": del inside[key]
        elif kind == "replace": inside[key] = chosen
        elif isinstance(inside, list): inside.insert(key, chosen)
        else: inside[random.choice(["x", 7, None, f"{key}x"])] = chosen
        if not state: break
    content = io.BytesIO()
    try: torch.save(state, content)
    except Exception: return data  # such as letters that no file can hold
    return content.getvalue()


def share(random: Random, data: bytes) -> bytes:
    "One value many times in a checkpoint, which takes little space in the file"
    state = checkpoint_of(data)
    if state is None: return data
    found = [*islice(places(state), 10_000)]  # of shared values there may be billions
    if not found: return data
    inside, key = random.choice(found)
    value, times = inside[key], random.choice([2, 10, 100, 5000])
    for _ in range(random.choice([1, 1, 2, 3, 9])):
        names = range(times) if times <= 10 else range(times // 10)
        value = random.choice([[value] * times, {f"x{i}": value for i in names}, (value,) * times])
    inside[key] = value
    content = io.BytesIO()
    try: torch.save(state, content)
    except Exception: return data
    return content.getvalue()


def repack(random: Random, data: bytes) -> bytes:
    "An archive with right checksums in which one file is damaged, packed, doubled or added"
    content = io.BytesIO()
    try:
        with ZipFile(io.BytesIO(data)) as old, ZipFile(content, "w") as new:
            entries = old.infolist()
            # The bytes of tensors stay: with a right checksum, other bytes are other weights
            chosen = random.choice([e for e in entries if "/data/" not in e.filename])
            kind = random.randrange(5)
            for entry in entries:
                held, how = old.read(entry), ZIP_STORED
                if entry is chosen and kind < 3: held = random.choice(MUTATIONS)(random, held)
                if entry is chosen and kind == 3: how = ZIP_DEFLATED
                new.writestr(entry.filename, held, how)
                if entry is chosen and kind == 4: new.writestr("archive/code/a.py", "print()")
    except Exception: return data
    return content.getvalue()


def tiny_diffusion() -> GaussianDiffusion:
    torch.manual_seed(0)
    return GaussianDiffusion(cosine_beta_schedule(5), 2,
                             ConditionalMLP(5, 4, num_layers=2, num_classes=2))


@reader
def checkpoints(folder: Path) -> Reader:
    "Checkpoints of `train`: one within an epoch, and one after it without averaged weights"
    from denoising_diffusion.checkpoints import History, load_checkpoint
    from denoising_diffusion.training import train
    torch.set_num_threads(1)
    data = torch.linspace(-1, 1, 16).view(8, 2), torch.tensor([1, 2] * 4)
    common = dict(num_epochs=2, batch_size=4, progress=False, device="cpu")
    path, originals, known = folder/"original.pt", [], []
    def keep(diffusion: GaussianDiffusion, history: History) -> None:
        originals.append(path.read_bytes())

    def stop_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if next(calls) == 3: raise KeyboardInterrupt
        return torch.nn.functional.mse_loss(output, target)
    calls = iter(range(9))
    warnings.simplefilter("ignore")
    try: train(tiny_diffusion(), data, loss=stop_loss, checkpoint=path, checkpoint_steps=1, seed=0,
               **common)
    except KeyboardInterrupt: originals.append(path.read_bytes())
    train(tiny_diffusion(), data, checkpoint=path, ema_decay=None, after_epoch=keep, seed=0,
          **common)
    for original in originals:
        state = torch.load(io.BytesIO(original), weights_only=True)
        known += [state["model"], state["model"] | (state["ema"] or {}).get("average", {})]

    def resumed(path: Path) -> GaussianDiffusion:
        diffusion = tiny_diffusion()
        history = train(diffusion, data, resume=path, **common)
        assert len(history) == len(history.seconds) == 2
        return diffusion

    def loaded(path: Path) -> GaussianDiffusion:
        diffusion = tiny_diffusion()
        load_checkpoint(diffusion, path)
        return diffusion

    def read(path: Path) -> list[dict[str, torch.Tensor]]:
        "The weights by each way of reading; if one of them refuses, the others were tried too"
        results, refusal = [], None
        for use in (load_pretrained, loaded, resumed):
            try: results.append(use(path).state_dict())
            except ValueError as error:
                if not is_refusal(error): raise
                refusal = error
        if refusal: raise refusal
        return results

    def judge(results: list[dict[str, torch.Tensor]], data: bytes) -> str | None:
        for weights in results[:2]:
            if not any(same_tensors(weights, right) for right in known): return "other weights"
        finite = all(tensor.isfinite().all() for tensor in results[2].values())
        return None if finite else "weights that are not finite after a resume"

    return Reader(originals, ".pt", read, (change_state, share, repack), judge, padded=True)


# IDX, the format of MNIST's files

ZEROS = gzip.compress(bytes(2**26), 1)  # a small part of a gzip file that holds 64 MB


def idx_bytes(shape: tuple[int, ...]) -> bytes:
    content = bytes(i % 251 for i in range(math.prod(shape)))
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + content


def unpacked(data: bytes) -> bytes:
    "What is in a file that may be gzipped; of a damaged one, the file itself"
    try: return gzip.decompress(data) if data[:2] == b"\x1f\x8b" and ZEROS not in data else data
    except (OSError, EOFError, zlib.error): return data


def change_axes(random: Random, data: bytes) -> bytes:
    "Another number of axes, or other lengths"
    raw = unpacked(data)
    count = random.choice([raw[3] if len(raw) > 3 else 1, random.randrange(256)])
    limits = [0, 0, 1, 2, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, random.randrange(2**32)]
    shape = [random.choice(limits) for _ in range(count)]
    size = max(0, len(raw) - 4 - 4 * count)
    if random.random() < 0.3 and count: shape = [*[1] * (count - 1), size]
    return raw[:3] + bytes([count]) + struct.pack(f">{count}I", *shape) + raw[4 + 4 * count:]


def gzip_again(random: Random, data: bytes) -> bytes:
    "The content damaged and then gzipped, in one part or two, with something or nothing after it"
    raw = unpacked(data)
    if random.random() < 0.5: raw = random.choice(MUTATIONS)(random, raw)
    place = random.choice([0, random.randrange(len(raw) + 1)])
    parts = [gzip.compress(part, 1, mtime=0) for part in (raw[:place], raw[place:]) if part]
    ends = [b"", b"", b"", bytes(random.randrange(20)), random.randbytes(8), ZEROS]
    return b"".join(parts) + random.choice(ends)


@reader
def idx(folder: Path) -> Reader:
    "IDX files, plain and gzipped"
    plain = [idx_bytes(shape) for shape in ((5,), (3, 2), (4, 5, 6), (2, 0, 3), (1,) * 40)]
    packed = [gzip.compress(data) for data in plain]

    def judge(x: torch.Tensor, data: bytes) -> str | None:
        raw = unpacked(data)
        shape = struct.unpack(f">{raw[3]}I", raw[4:4 + 4 * raw[3]])
        is_right = tuple(x.shape) == shape and x.flatten().numpy().tobytes() == raw[4 + 4 * raw[3]:]
        return None if is_right else "other contents than in the file"

    return Reader(plain + packed, ".gz", read_idx, (change_axes, gzip_again), judge)


# Images of a folder

def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    "Kind and content of each chunk of a PNG file, as far as it can be read"
    chunks, place = [], 8
    while data[:4] == b"\x89PNG" and place + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[place:place + 8])
        chunks.append((kind, data[place + 8:place + 8 + size]))
        place += 12 + size
    return chunks


def png_bytes(chunks: list[tuple[bytes, bytes]]) -> bytes:
    "A PNG file with right checksums"
    parts = [struct.pack(">I", len(content)) + kind + content
             + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def change_chunk(random: Random, data: bytes) -> bytes:
    "A chunk of a PNG file damaged, gone, twice or elsewhere, with right checksums"
    chunks = png_chunks(data)
    if not chunks: return data
    i = random.randrange(len(chunks))
    kind, content = chunks[i]
    change = random.choice(["damage", "damage", "damage", "drop", "copy", "rename"])
    if change == "drop": del chunks[i]
    elif change == "copy": chunks.insert(random.randrange(len(chunks) + 1), chunks[i])
    elif change == "rename": chunks[i] = random.choice(chunks)[0], content
    elif kind == b"IDAT" and random.random() < 0.7:
        try: rows = zlib.decompress(content)
        except zlib.error: return data
        chunks[i] = kind, zlib.compress(random.choice(MUTATIONS)(random, rows))
    else: chunks[i] = kind, random.choice(MUTATIONS)(random, content)
    return png_bytes(chunks)


# where a format keeps width and height: a mark in the file, bytes after it, and how they are packed
SIZES = ((b"IHDR", 4, ">II"), (b"GIF8", 6, "<HH"), (b"BM", 18, "<ii"), (b"\xff\xc0", 5, ">HH"),
         (b"\xff\xc2", 5, ">HH"), (b"VP8X", 12, "<HH"), (b"VP8 ", 14, "<HH"), (b"VP8L", 9, "<HH"))


def change_size(random: Random, data: bytes) -> bytes:
    "Another width and height, if the format is known, in a PNG with right checksums"
    places = [(data.find(mark) + after, form) for mark, after, form in SIZES if mark in data]
    if not places: return data
    place, form = random.choice(places)
    most = 2**15 - 1 if "H" in form else 2**31 - 1
    limits = [0, 1, 2, 9, 12, 14, 26, 255, most, random.randint(0, most)]
    if random.random() < 0.05: limits = [5000, 6000, 8000]  # the largest that are read take long
    sides = struct.pack(form, random.choice(limits), random.choice(limits))
    return fix_sums(data[:place] + sides + data[place + len(sides):])


def fix_sums(data: bytes) -> bytes:
    return png_bytes(png_chunks(data)) if data[:4] == b"\x89PNG" else data


def change_tag(random: Random, data: bytes) -> bytes:
    "A field of a TIFF file's directory, also of one that holds EXIF data in another format"
    start = max(data.find(b"II*\0"), data.find(b"MM\0*"))
    if start < 0: return data
    order = "<" if data[start:start + 1] == b"I" else ">"
    first = struct.unpack(f"{order}I", data[start + 4:start + 8].ljust(4, b"\0"))[0]
    entry = start + first + 2 + 12 * random.randrange(20)
    field, form = random.choice([(0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")])
    limits = [0, 1, 2, 3, 5, 8, 16, 32, 255, 256, 257, 258, 259, 273, 274, 278, 279, 5000, 32_946]
    number = random.choice([*limits, 2**15, 2**16 - 1, len(data), random.randrange(2**16)])
    packed = struct.pack(order + form, number)
    return data[:entry + field] + packed + data[entry + field + len(packed):]


def image_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    image.copy().save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def small_images() -> list[bytes]:
    "Small files of all formats that are read, in many of their variants"
    color = Image.linear_gradient("L").resize((13, 9))
    color = Image.merge("RGB", [color, color.transpose(Image.Transpose.ROTATE_180), color])
    clear = color.copy()
    clear.putalpha(color.getchannel("R"))
    gray, palette = color.convert("L"), color.quantize(16)
    deep = Image.fromarray(np.arange(117, dtype=np.uint16).reshape(9, 13) * 500)
    floats = gray.convert("F")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    moving = dict(save_all=True, append_images=[clear.copy(), clear.rotate(90)])
    bits = gray.convert("1")
    files = [image_bytes(image, "png") for image in (color, clear, palette, bits, deep)]
    files += [image_bytes(palette, "png", transparency=3), image_bytes(clear, "png", **moving),
              image_bytes(color, "png", exif=exif, dpi=(72, 72))]
    files += [image_bytes(color, "jpeg", quality=50, **options)
              for options in (dict(exif=exif), dict(progressive=True), dict(restart_marker_rows=1))]
    files += [image_bytes(image, "jpeg") for image in (gray, color.convert("CMYK"))]
    files += [image_bytes(image, "gif") for image in (gray, palette)]
    files += [image_bytes(clear, kind, **moving) for kind in ("gif", "webp", "tiff")]
    files += [image_bytes(clear, "webp", lossless=lossless, exif=exif) for lossless in (0, 1)]
    files += [image_bytes(image, "bmp") for image in (color, palette, bits)]
    files.append(image_bytes(palette, "bmp")[:54 + 1024] + RUNS)
    for compression in None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg":
        files.append(image_bytes(color, "tiff", compression=compression, exif=exif))
    files += [image_bytes(image, "tiff") for image in (deep, floats, clear, color.convert("CMYK"))]
    files.append(image_bytes(bits, "tiff", compression="group4"))
    files += [image_bytes(image, "ppm") for image in (color, gray, bits, deep, floats)]
    texts = b"P3 4 2 99 " + b"7 42 99 " * 8, b"P2\n# text\n2 2 9\n1 2 3 4", b"P1 3 2 1 0 1 0 1 1"
    return [*files, *texts]


RUNS = b"\x0d\3\0\0" * 5 + b"\0\4\1\2\3\4\0\0\0\2\1\1\0\1"  # rows of a BMP file with runs


@reader
def images(folder: Path) -> Reader:
    "Images of a folder, of all formats that are read"
    place = folder/"images"
    place.mkdir()

    def read(path: Path) -> torch.Tensor:
        os.replace(path, place/path.name)
        return images_from_folder(place, 8, crop=True, keep_blank=True)

    def judge(x: torch.Tensor, data: bytes) -> str | None:
        is_right = tuple(x.shape) == (1, 3, 8, 8) and x.dtype == torch.uint8
        return None if is_right else "no image of 8 × 8 pixels"

    mutations = change_chunk, change_size, change_size, change_tag
    return Reader(small_images(), ".png", read, mutations, judge)


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
