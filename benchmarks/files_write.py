"""Seconds and memory of writing 50 megapixels, in each format.

    python benchmarks/files_write.py [--megapixels 50] [--opencv]

Each format is written in a process of its own. The picture is noise over a smooth ramp, as a photo is for an encoder.
Memory is the most that the process held beyond what it held before writing. `--opencv` adds the encoder that wrote PNG
before, OpenCV's with compression 4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from mattecli.imaging.image import Image
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.write import write_image
from mattecli.system.memory import peak_bytes

CASES = {
    "PNG, 8 bits": (".png", 8, 3, {}),
    "PNG, 16 bits": (".png", 16, 3, {}),
    "PNG, 16 bits, RGBA": (".png", 16, 4, {}),
    "TIFF, 16 bits": (".tif", 16, 3, {}),
    "JPEG, 8 bits": (".jpg", 8, 3, {}),
    "EXR, half, RGBA": (".exr", 8, 4, {}),
    "EXR, float, RGBA": (".exr", 16, 4, {}),
    "WebP, quality 95": (".webp", 8, 3, {}),
    "WebP, lossless, RGBA": (".webp", 8, 4, {}),
}


def picture(megapixels: float, depth: int, channels: int) -> np.ndarray[Any, Any]:
    """Noise over a ramp (H, W, C), three by two."""
    height = round((megapixels * 1e6 * 2 / 3) ** 0.5)
    rng = np.random.default_rng(0)
    kind: Any = np.uint8 if depth == 8 else np.uint16
    pixels = np.empty((height, height * 3 // 2, channels), kind)
    ramp = np.linspace(0.1, 0.8, pixels.shape[1], dtype=np.float32)[:, None]
    for top in range(0, height, 64):
        band = ramp + rng.standard_normal((len(pixels[top : top + 64]), *pixels.shape[1:]), np.float32) * 0.006
        pixels[top : top + 64] = np.clip(band, 0, 1) * (2**depth - 1)
    return pixels


def measure(name: str, megapixels: float) -> dict[str, float]:
    """Write one case: seconds of the clock and of the processor, bytes of memory and of the file."""
    suffix, depth, channels, options = CASES[name.removesuffix(" (OpenCV)")]
    image = Image(picture(megapixels, depth, channels))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        before, clock, work = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
        if name.endswith("(OpenCV)"):
            order = cv2.COLOR_RGBA2BGRA if channels == 4 else cv2.COLOR_RGB2BGR
            done, data = cv2.imencode(suffix, cv2.cvtColor(image.pixels, order), [cv2.IMWRITE_PNG_COMPRESSION, 4])
            assert done
            path.write_bytes(data.tobytes())
        else:
            write_image(path, image, options=WriteOptions(**options))
        seconds = time.perf_counter() - clock
        work = time.process_time() - work
        return {"seconds": seconds, "cpu": work, "memory": peak_bytes() - before, "bytes": path.stat().st_size}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=50)
    parser.add_argument("--opencv", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.megapixels)))
        return
    print("| format | seconds | of the processor | memory beside the picture | file |\n|---|---:|---:|---:|---:|")
    for name in [
        own for case in CASES for own in ([case, f"{case} (OpenCV)"] if "PNG" in case and options.opencv else [case])
    ]:
        command = [sys.executable, __file__, "--case", name, "--megapixels", str(options.megapixels)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"| {name} | {found['seconds']:.1f} | {found['cpu']:.1f} | {found['memory'] / 2**20:.0f} MiB "
            f"| {found['bytes'] / 1e6:.0f} MB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
