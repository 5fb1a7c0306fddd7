"""Compares the metadata of photos with that of written files, by ExifTool.

    python benchmarks/metadata.py photo.jpg …

Each photo's blocks are written into JPEG, PNG, TIFF and WebP with other pixels. Every tag that changed is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata, read_metadata
from mattecli.imaging.write import write_image

GROUPS = ("IFD0:", "ExifIFD:", "GPS:", "InteropIFD:", "XMP", "IPTC:", "IFD1:", "MakerNotes:")


def blocks(path: Path) -> Metadata:
    """The blocks of a photo."""
    with path.open("rb") as handle:
        if handle.read(2) in (b"II", b"MM"):
            return read_metadata(handle)
        with PIL.Image.open(path) as picture:
            return read_metadata(handle, picture)


def tags(path: Path) -> dict[str, Any]:
    """All tags that ExifTool finds in the groups of EXIF, XMP and IPTC, unknown ones included."""
    command = ["exiftool", "-j", "-G1", "-a", "-n", "-u", "-b", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    return {
        name: value for name, value in found.items() if not name.startswith(("ExifTool", "File", "System", "Composite"))
    }


def main() -> None:
    """Print the differences of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    pixels = np.zeros((30, 40, 3), np.uint8)
    for photo in parser.parse_args().photos:
        before = {name: value for name, value in tags(photo).items() if name.startswith(GROUPS)}
        for suffix in (".jpg", ".png", ".tif", ".webp"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"a{suffix}"
                write_image(path, Image(pixels, metadata=blocks(photo)))
                after = tags(path)
            changed = [name for name in before if before[name] != after.get(name)]
            print(f"{photo} → {suffix}: {len(before) - len(changed)} of {len(before)} tags equal")
            for name in changed:
                print(f"    {name}: {str(before[name])[:40]} → {str(after.get(name, 'left out'))[:40]}")


if __name__ == "__main__":
    main()
