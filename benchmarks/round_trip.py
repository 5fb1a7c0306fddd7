"""What comes back from a file: format, depth, profile, alpha and metadata, as a table in Markdown.

    python benchmarks/round_trip.py

Pictures are written by `mattecli.write_image` and read by other programs' libraries: Pillow, tifffile and OpenImageIO.
"equal" means that every value comes back as it was, colours under alpha 0 included; otherwise the largest difference is
given in per cent of white.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import PIL.Image

from mattecli.imaging import exif_blocks
from mattecli.imaging.colour import chromaticities, convert, linear, space_named
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image


def profile() -> bytes:
    """A profile that is not sRGB."""
    return space_named("adobergb").icc or b""


def block() -> bytes:
    """An EXIF block that says orientation 6, as a phone's upright photo does, and names a camera."""
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    return exif.tobytes().removeprefix(exif_blocks.PREFIX)


def stored_values(path: Path, kind: str) -> np.ndarray[Any, Any]:
    """The file's pixels (H, W, C) from 0 to 1, as it stores them."""
    if path.suffix == ".npy":
        return np.asarray(np.load(path), np.float64)
    if path.suffix == ".avif":
        return np.asarray(PIL.Image.open(path)) / 255.0
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), hints)
    full = {"uint8": 255.0, "uint16": 65535.0}.get(kind, 1.0)
    if path.suffix == ".exr":
        kind, full = "float", 1.0
    return np.asarray(source.read_image(kind)) / full


def row(folder: Path, suffix: str, depth: int, channels: int) -> list[str]:
    """One line of the table."""
    kind = {8: "uint8", 16: "uint16", 32: "float"}[depth]
    full = 2**depth - 1 if depth < 32 else 1
    rows, columns = np.mgrid[:48, :64] / 63
    waves = [
        0.5 + 0.4 * np.sin(3 * rows + number + 4 * columns) for number in range(channels)
    ]  # smooth, as most of a photo
    pixels = np.asarray(np.stack(waves, axis=2) * full, np.float32 if depth == 32 else kind)
    if channels == 4:
        pixels[:16, :, 3] = 0
    image = Image(pixels, profile(), (300.0, 300.0), metadata=Metadata(exif=block(), xmp=b"<a/>"))
    path = folder / f"a{depth}{channels}{suffix}"
    try:
        write_image(path, image)
    except ValueError:
        return [
            suffix,
            str(depth),
            "RGBA" if channels == 4 else "RGB",
            "refused",
            "",
            "",
            "",
        ]
    back = stored_values(path, kind)
    goal = pixels / np.float64(full)
    if suffix == ".exr":
        goal = convert(pixels, image.space, linear(chromaticities(image.space) or ()), depth=32).astype(np.float64)
        goal[..., :3] *= goal[..., 3:] if channels == 4 else 1
    off = float(np.abs(back - goal).max())
    state = "equal" if off == 0 else f"differ by {100 * off:.2g} %"
    if suffix == ".exr":
        state = f"linear, × alpha: {state}" if channels == 4 else f"linear: {state}"
    if suffix == ".bmp":
        state = "converted to sRGB"
    icc, known = found(path)
    return [
        *(suffix, str(depth), "RGBA" if channels == 4 else "RGB", state),
        "kept" if icc == image.icc else "none" if icc is None else "other",
        "none" if known.exif is None else f"kept, {exif_blocks.orientation_of(known.exif)}",
        "kept" if known.xmp else "none",
    ]


def found(path: Path) -> tuple[bytes | None, Metadata]:
    """The profile and the metadata of a file."""
    if path.suffix in {".npy", ".exr"}:
        return None, Metadata()
    picture = read_image(path, keep_alpha=True)
    return picture.icc, picture.metadata


def main() -> None:
    """Print the table."""
    print("| format | bits | channels | values | profile (AdobeRGB) | EXIF, its orientation (was 6) | XMP |")
    print("|---|---:|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".tif", ".jpg", ".webp", ".avif", ".jxl", ".bmp", ".exr", ".npy"):
            for depth in (8, 16, 32):
                for channels in (3, 4):
                    print("| " + " | ".join(row(Path(folder), suffix, depth, channels)) + " |")


if __name__ == "__main__":
    main()
