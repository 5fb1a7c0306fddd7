"""What a user would run instead: whole processes from a cold shell, on the same photo and trimap, in turns.

    python benchmarks/peers.py                                   # 1 and 4 megapixels
    python benchmarks/peers.py --megapixels 16 --memory 16G --methods ours closed-form

Peers are pymatting's closed-form and KNN matting (`pip install pymatting`), with its defaults, and rembg's own pipeline
(`rembg i -a`) where its package and its weights are there. pymatting's compiled functions are cached: a run before the
first one makes the cache. A method that needs more memory than `--memory` counts as out of memory. How good the alphas
are: `quality.py`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from mattecli.system.memory import parse_bytes, show_bytes

HERE = Path(__file__).parents[1]
PYMATTING = (
    "import sys, cv2, numpy as np, pymatting; photo, trimap, out = sys.argv[1:]; "
    "image = cv2.imread(photo)[:, :, ::-1] / 255.0; known = cv2.imread(trimap, 0) / 255.0; "
    "known[(known > 0) & (known < 1)] = 0.5; "
    "cv2.imwrite(out, np.rint(255 * pymatting.estimate_alpha_{}(image, known)).astype(np.uint8))"
)


@dataclass
class Method:
    """A command that takes photo, trimap and output, and what its runs took: seconds, of the processor, and bytes."""

    name: str
    command: list[str]
    runs: list[tuple[float, float, int]] = field(default_factory=list)
    failed: str | None = None

    def run(self, photo: Path, trimap: Path, out: Path, limit: int) -> None:
        """One process, from start to end; once it has failed, it is not tried again."""
        if self.failed is not None:
            return
        places = {"PHOTO": photo, "TRIMAP": trimap, "OUT": out}
        command = [str(places.get(part, part)) for part in self.command]
        started = time.perf_counter()
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command,
                stdout=said,
                stderr=said,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit,) * 2),
            )
            _, status, used = os.wait4(process.pid, 0)
            took = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                text = said.read().decode(errors="replace").strip()
                short = any(word in text for word in ("MemoryError", "Unable to allocate", "memory"))
                self.failed = f"out of memory ({show_bytes(limit)})" if short else (text.splitlines() or ["failed"])[-1]
                return
        self.runs.append((took, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024))

    def row(self) -> str:
        """The method's cells: medians, or why it failed."""
        if self.failed is not None:
            return f"| {self.name} | {self.failed} | | |"
        wall, cpu, peak = (statistics.median(column) for column in zip(*self.runs, strict=True))
        return f"| {self.name} | {wall:.1f} | {cpu:.1f} | {show_bytes(int(peak))} |"


def methods(wanted: list[str]) -> list[Method]:
    """The methods that are here."""
    matte = [sys.executable, "-m", "mattecli", "predict", "PHOTO", "-t", "TRIMAP", "-o", "OUT", "--overwrite"]
    found = [Method("ours", matte), Method("ours, fp32", [*matte, "--precision", "fp32"])]
    if importlib.util.find_spec("pymatting"):
        for name, short in (("closed-form", "cf"), ("KNN", "knn")):
            found.append(Method(name, [sys.executable, "-c", PYMATTING.format(short), "PHOTO", "TRIMAP", "OUT"]))
    weights = Path(os.environ.get("U2NET_HOME", Path.home() / ".u2net")) / "u2net.onnx"
    if importlib.util.find_spec("rembg") and weights.is_file():
        found.append(Method("rembg -a", [str(Path(sys.executable).with_name("rembg")), "i", "-a", "PHOTO", "OUT"]))
    return [method for method in found if method.name.split(",")[0] in wanted]


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--photo", type=Path, default=HERE / "examples/portrait.jpg")
    parser.add_argument("--trimap", type=Path, default=HERE / "examples/portrait_trimap.png")
    parser.add_argument("--methods", nargs="+", default=["ours", "closed-form", "KNN", "rembg -a"])
    parser.add_argument("--memory", type=parse_bytes, default=parse_bytes("8G"), help="the most that a method may take")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    photo, trimap = cv2.imread(str(options.photo)), cv2.imread(str(options.trimap), cv2.IMREAD_GRAYSCALE)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "photo.jpg", Path(folder) / "trimap.png", Path(folder) / "out.png"
        write(photo, trimap, 0.01, *paths[:2])
        for method in methods(options.methods):
            method.run(*paths, options.memory)
        for megapixels in options.megapixels:
            width, height, unknown = write(photo, trimap, megapixels, *paths[:2])
            load, candidates = os.getloadavg()[0], methods(options.methods)
            for _ in range(options.repeats):
                for method in candidates:
                    method.run(*paths, options.memory)
            print(f"{width}×{height}, {unknown:.1%} unknown, medians of {options.repeats} in turns, ", end="")
            print(f"load {load:.1f} to {os.getloadavg()[0]:.1f}\n")
            print("| whole process | seconds | of the processor | peak memory |\n|---|---:|---:|---:|")
            print("\n".join(method.row() for method in candidates) + "\n", flush=True)


def write(
    photo: cv2.typing.MatLike, trimap: cv2.typing.MatLike, megapixels: float, *paths: Path
) -> tuple[int, int, float]:
    """Write photo and trimap at that size; gives width, height and the share that is unknown."""
    scale = (megapixels * 1e6 / trimap.size) ** 0.5
    size = round(trimap.shape[1] * scale), round(trimap.shape[0] * scale)
    known = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(paths[0]), cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
    cv2.imwrite(str(paths[1]), known)
    return *size, float(((known > 0) & (known < 255)).mean())


if __name__ == "__main__":
    main()
