"""Seconds, work of the processor and memory of reading pictures of 50 megapixels, each in a process of its own.

    python benchmarks/files.py                 makes the files in a temporary folder and reads each three times
    python benchmarks/files.py --keep DIR      keeps the files there, and uses them again
    python benchmarks/files.py 16_zip.tif      reads this kind of file alone

The memory is the peak of the process and of the process that decodes for it, above what they hold before. The pixels
alone take 150 MB with 8 bits, 300 MB with 16 and 600 MB as floats.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

WIDTH, HEIGHT = 8664, 5776
NAMES = (
    *("8.jpg", "8.png", "8_zip.tif", "16.png", "16.tif", "16_zip.tif", "16_lzw.tif", "16_planes.tif", "half.exr"),
    *("float.tif", "16.jxl", "8.webp"),
)

READ = """
import json, sys, time
from pathlib import Path
import psutil
from mattecli.imaging.read import read_image
from mattecli.system.memory import held_bytes, peak_bytes
from mattecli.system.process import prepare_process

def decoder():
    children = psutil.Process().children()
    if not children:
        return 0
    status = Path(f"/proc/{children[0].pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

prepare_process()
read_image(sys.argv[2])  # a small file of the same kind: modules are loaded, and the other process runs
def work():
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children())]
    return sum(time.user + time.system for time in times)

before, worked = held_bytes() + decoder(), work()
start = time.perf_counter()
image = read_image(sys.argv[1])
seconds = time.perf_counter() - start
print(json.dumps([seconds, work() - worked, peak_bytes() + decoder() - before]))
"""


def picture(height: int, width: int) -> NDArray[np.uint16]:
    """Soft colours with grain, as in a photograph (H, W, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 65536, (24, 36, 3)).astype(np.uint16)
    pixels: NDArray[np.uint16] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels += rng.integers(0, 512, (height, width, 1), dtype=np.uint16)
    return pixels


def write(path: Path, pixels: NDArray[np.uint16]) -> None:
    deep = not path.name.startswith("8")
    values: NDArray[Any] = pixels if deep else (pixels >> 8).astype(np.uint8)
    if path.name == "float.tif":
        tifffile.imwrite(path, values.astype(np.float32) / 65535, photometric="rgb", compression="zlib")
    elif path.suffix in (".exr", ".jxl") or "planes" in path.name or "lzw" in path.name:
        import OpenImageIO

        spec = OpenImageIO.ImageSpec(values.shape[1], values.shape[0], 3, "half" if path.suffix == ".exr" else "uint16")
        spec.attribute("compression", {".exr": "zip", ".jxl": "jpegxl:100"}.get(path.suffix, "lzw"))
        spec.attribute("jpegxl:effort", 1)
        if "planes" in path.name:
            spec.attribute("planarconfig", "separate")
        output = OpenImageIO.ImageOutput.create(str(path))
        assert output.open(str(path), spec), output.geterror()
        assert output.write_image(values), output.geterror()
        output.close()
    elif path.suffix == ".tif":
        zipped = "zip" in path.name
        tifffile.imwrite(
            path, values, photometric="rgb", compression="zlib" if zipped else None, predictor=zipped, rowsperstrip=64
        )
    else:
        assert cv2.imwrite(str(path), values[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_WEBP_QUALITY, 90])


def main() -> None:
    """Print the table: the median of three runs, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"kinds of files: {', '.join(NAMES)}")
    parser.add_argument("--keep", type=Path, help="folder for the files, which stay there")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = options.keep or Path(own)
        (folder / "small").mkdir(parents=True, exist_ok=True)
        for name in options.names:
            small, large = folder / "small" / name, folder / name
            if not large.exists():
                write(small, picture(96, 144))
                write(large, picture(HEIGHT, WIDTH))
            found = []
            for _ in range(options.runs):
                command = [sys.executable, "-c", READ, str(large), str(small)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    break
                found.append(json.loads(done.stdout))
            if done.returncode:
                print(f"{name:<15} {done.stderr.strip().splitlines()[-1]}")
                continue
            seconds, worked, memory = sorted(found)[len(found) // 2]
            figures = f"{seconds:6.2f} s  {worked:6.2f} s of work  {memory / 1e6:6.0f} MB"
            print(f"{name:<15} {large.stat().st_size / 1e6:6.0f} MB  {figures}", flush=True)


if __name__ == "__main__":
    main()
