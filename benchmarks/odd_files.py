"""Reads files of every layout and 10,000 damaged ones, and compares the pixels with other decoders.

    python benchmarks/odd_files.py                   makes, reads and compares the files of every layout
    python benchmarks/odd_files.py --mutate 10000    besides, damages them and reads the damaged ones, twice
    python benchmarks/odd_files.py --keep DIR        leaves the files there

The other decoders are tifffile with imagecodecs, OpenEXR and libvips (pyvips), and Pillow where we use another one;
for the rest the array counts that the file was made of: pip install imagecodecs openexr "pyvips[binary]" pillow-heif.

Damaged files are read in two processes that differ in what fresh memory holds (glibc's MALLOC_PERTURB_ of 1 and 170).
A decoder that hands out memory it did not fill gives different pixels in the two.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odd_layouts import all_files

from mattecli.errors import MatteError
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image, read_size
from mattecli.imaging.reading import child
from mattecli.system.memory import peak_bytes
from mattecli.system.process import prepare_process

OPTIONS = ReadOptions(max_pixels=20_000_000, max_memory=2**29)
MOST_SECONDS = 25  # 20 without progress, and some for a busy machine


def compare(folder: Path) -> list[Path]:
    """Write and read the files of every layout, print the table, and return the files."""
    equal, total, paths = Counter[str](), Counter[str](), []
    for file in all_files():
        path = folder / file.name
        path.write_bytes(file.content)
        paths.append(path)
        family = file.name.partition("_")[0]
        total[family] += 1
        try:
            pixels = read_image(path, keep_alpha=True).pixels
            expected = file.expected
            problem = difference(pixels, expected, file.tolerance) if expected is not None else "was read"
        except MatteError as error:
            problem = "" if file.expected is None else f"refused: {str(error).removeprefix(str(path))}"
        height, width = (1, 1) if file.expected is None else file.expected.shape[:2]
        if not problem and file.expected is not None and read_size(path) != (width, height):
            problem = f"read_size says {read_size(path)}, the picture has {(width, height)}"
        equal[family] += not problem
        if problem:
            print(f"{file.name}: {problem}")
    for family in total:
        print(f"{family:12} {equal[family]:4} of {total[family]:4}")
    print(f"files compared, pixels equal: {sum(equal.values())} of {sum(total.values())}")
    return paths


def difference(pixels: NDArray[Any], expected: NDArray[Any], tolerance: float) -> str:
    """How two pictures differ; empty where they are equal, bit for bit or within the tolerance of a lossy format."""
    if pixels.shape != expected.shape or pixels.dtype != expected.dtype:
        return f"{pixels.dtype}{pixels.shape} instead of {expected.dtype}{expected.shape}"
    if pixels.tobytes() == np.ascontiguousarray(expected).tobytes():
        return ""
    with np.errstate(invalid="ignore"):
        most = float(np.nanmax(np.abs(pixels.astype(np.float64) - expected)))
    return "" if most <= tolerance else f"differs by up to {most:g}"


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The file with some bytes changed, most of them in its header, or with an end or a middle missing."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        near = len(data) if dice.random() < 0.6 else min(len(data), 600)
        at = dice.randrange(max(1, near))
        how = dice.randrange(6)
        if how == 0:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif how == 1:
            data[at : at + 1] = bytes([data[at] ^ (1 << dice.randrange(8))]) if at < len(data) else b""
        elif how == 2:
            data[at : at + 4] = dice.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\x10\0"))
        elif how == 3:
            del data[at : at + dice.randrange(1, 64)]
        elif how == 4:
            data = data[: max(16, dice.randrange(len(data) + 1))]
        else:
            data[at:at] = data[at : at + dice.randrange(1, 64)]
    return bytes(data)


def read_damaged(folder: Path, count: int, report: Path) -> None:
    """Read `count` damaged files one after the other; the report gets one line for each."""
    prepare_process()
    families: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        families.setdefault(path.name.partition("_")[0], []).append(path)
    with report.open("w") as lines, tempfile.TemporaryDirectory() as own:
        for number in range(count):
            dice = random.Random(number)
            seed = dice.choice(families[dice.choice(sorted(families))])
            path = Path(own, f"{number}{seed.suffix}")
            content = damaged(seed.read_bytes(), dice)
            path.write_bytes(content)
            started = time.perf_counter()
            try:
                image = read_image(path, keep_alpha=True, options=OPTIONS)
                shape = f"{image.pixels.dtype}{image.pixels.shape}"
                outcome = f"read {shape} {hashlib.sha256(np.ascontiguousarray(image.pixels).data).hexdigest()}"
            except MatteError as error:
                outcome = f"refused {' '.join(str(error).replace(str(path), 'FILE').split())}"
            except BaseException as error:
                outcome = f"TRACEBACK {type(error).__name__}: {error}"
            seconds = time.perf_counter() - started
            changed = path.read_bytes() != content or len(list(Path(own).iterdir())) != 1
            path.unlink()
            lines.write(json.dumps([number, seed.name, outcome, round(seconds, 2), changed, peaks()]) + "\n")
            lines.flush()


def peaks() -> tuple[int, int]:
    """The most memory of this process and of its decoding process so far, in MiB."""
    process = child._child._process if child._child is not None else None
    status = "" if process is None else f"/proc/{process.pid}/status"
    try:
        theirs = int(Path(status).read_text().partition("VmHWM:")[2].split()[0]) // 1024 if status else 0
    except (OSError, IndexError):
        theirs = 0
    return peak_bytes() // 2**20, theirs


def mutate(folder: Path, count: int, reports: Path) -> None:
    """Read damaged files in two processes with different fresh memory, and print what became of them."""
    before = leftovers()
    workers = []
    for filling in ("1", "170"):
        report = reports / f"perturb_{filling}.jsonl"
        command = [sys.executable, __file__, "--worker", str(folder), str(count), str(report)]
        workers.append(
            (report, subprocess.Popen(command, env={**os.environ, "MALLOC_PERTURB_": filling}, stderr=subprocess.PIPE))
        )
    runs = []
    for report, worker in workers:
        _, errors = worker.communicate()
        runs.append([json.loads(line) for line in report.read_text().splitlines()])
        print(f"{report.stem}: exit code {worker.returncode}, {len(runs[-1])} files, {len(errors)} bytes on stderr")
        if errors:
            print(errors.decode(errors="replace")[-600:])
    one, two = runs
    outcomes = Counter(line[2].split()[0] for line in one)
    print(f"damaged files: {len(one)}; {', '.join(f'{name} {number}' for name, number in outcomes.items())}")
    both = [(a, b) for a, b in zip(one, two, strict=False) if a[2].startswith("read") and b[2].startswith("read")]
    print(f"pixels equal with MALLOC_PERTURB_ 1 and 170: {sum(a[2] == b[2] for a, b in both)} of {len(both)}")
    for a, b in zip(one, two, strict=False):
        if a[2].split()[0] != b[2].split()[0] or (a[2].startswith("read") and a[2] != b[2]):
            print("differs:", a[:3], b[2])
    lines = one + two
    print(f"tracebacks: {sum(line[2].startswith('TRACEBACK') for line in lines)}")
    print(f"decoder crashes, each told as damage: {sum('its decoder crashed' in line[2] for line in lines)}")
    print(f"hangs that were ended: {sum('no progress' in line[2] for line in lines)}")
    longest = max(line[3] for line in lines)
    print(f"longest: {longest} s; over {MOST_SECONDS} s: {sum(line[3] > MOST_SECONDS for line in lines)}")
    own, theirs = (max(line[5][at] for line in lines) for at in (0, 1))
    print(f"peak of the reader: {own} MiB, of its decoder: {theirs} MiB")
    print(f"files changed or left: {sum(line[4] for line in lines)}; leftovers: {leftovers() - before}")
    for line in lines:
        if line[2].startswith("TRACEBACK") or line[3] > MOST_SECONDS:
            print(line)


def leftovers() -> int:
    return len([path for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith("mattecli-")])


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        return read_damaged(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutate", type=int, default=0, metavar="N", help="damaged files to read")
    parser.add_argument("--keep", type=Path, help="folder for the files, which stay there")
    options = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as own:
        folder = options.keep or Path(own, "files")
        folder.mkdir(parents=True, exist_ok=True)
        compare(folder)
        if options.mutate:
            mutate(folder, options.mutate, Path(own))
    return None


if __name__ == "__main__":
    main()
