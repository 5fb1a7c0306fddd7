"""Compares the metadata of photos with that of written files, by ExifTool.

    python benchmarks/metadata.py photo.jpg …
    python benchmarks/metadata.py                a photo that ExifTool gives tags of all kinds

Each photo's blocks are written into other files, with other pixels. Every tag that changed is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image

TAGS = [
    *(
        "-Make=Maker",
        "-Model=Model X",
        "-Orientation#=6",
        "-Artist=Ann",
        "-Copyright=(c) 2024 Ännie",
        "-Software=Camera 1.0",
    ),
    *("-ExposureTime=1/60", "-FNumber=2.8", "-ISO=400", "-DateTimeOriginal=2024:05:06 07:08:09", "-FocalLength=50.5"),
    *("-LensModel=50 mm", "-LensInfo=24 70 2.8 4", "-UserComment=a comment", "-ColorSpace#=65535"),
    *(
        "-InteropIndex=R03",
        "-ExifImageWidth=4000",
        "-ExifImageHeight=3000",
        "-SubSecTimeOriginal=123",
        "-Flash#=16",
        "-SerialNumber=12345",
    ),
    *("-GPSLatitude=48.5", "-GPSLatitudeRef=N", "-GPSLongitude=9.25", "-GPSLongitudeRef=E", "-GPSAltitude=400"),
    *("-IPTC:ObjectName=Title", "-IPTC:By-line=Ann", "-IPTC:Keywords=hair", "-IPTC:Keywords+=fur", "-IPTC:City=Köln"),
    *("-XMP-dc:Title=Title", "-XMP-dc:Subject=hair", "-XMP-xmp:Rating=4", "-XMP-tiff:Orientation#=6"),
    *("-XMP-crs:Exposure2012=+1.00", "-XMP-photoshop:City=Köln", "-XMP-iptcCore:CountryCode=DE"),
]
# Groups of ExifTool that say how a file is built, and what lies outside of EXIF, XMP and IPTC. IFD1 is the thumbnail.
OTHERS = (
    *("ExifTool", "SourceFile", "System", "File", "Composite", "JFIF", "JFXX", "ICC", "Photoshop", "PrintIM", "MPF"),
    *("PNG", "APP", "Adobe", "Ducky", "SPIFF", "AVI1", "FlashPix", "FPXR", "CIFF", "AFCP", "IFD1", "HDR_RI", "JUMBF"),
    *(
        "Meta",
        "RMETA",
        "NITF",
        "MediaJukebox",
        "PhotoStudio",
        "GraphicConverter",
        "Qualcomm",
        "Scalado",
        "GoPro",
        "FLIR",
    ),
)


def tags(path: Path) -> dict[str, Any]:
    """All tags that ExifTool finds in EXIF, maker's notes, XMP and IPTC, unknown ones included."""
    command = ["exiftool", "-j", "-G1", "-a", "-n", "-u", "-b", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    return {name: value for name, value in found.items() if not name.startswith(OTHERS)}


def main() -> None:
    """Print the differences of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as folder:
        compare(photos or [made(Path(folder, f"made{suffix}")) for suffix in (".jpg", ".tif", ".png")])


def made(path: Path) -> Path:
    """A picture with tags of EXIF, GPS, IPTC and XMP, turned by a quarter."""
    PIL.Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
    subprocess.run(["exiftool", "-q", "-overwrite_original", *TAGS, str(path)], check=True)
    return path


def compare(photos: list[Path]) -> None:
    """Print what becomes of each photo's tags."""
    pixels, counts = np.zeros((30, 40, 3), np.uint8), Counter[str]()
    for photo in photos:
        before = tags(photo)
        for suffix in (".jpg", ".png", ".tif", ".webp", ".jxl", ".avif"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"a{suffix}"
                write_image(path, Image(pixels, metadata=read_image(photo).metadata))
                after = tags(path)
            changed = [name for name in before if before[name] != after.get(name)]
            print(f"{photo.name} → {suffix}: {len(before) - len(changed)} of {len(before)} tags equal")
            for name in changed:
                print(f"    {name}: {str(before[name])[:40]} → {str(after.get(name, 'left out'))[:40]}")
            counts[suffix] += len(before) - len(changed)
            counts["of"] += len(before) if suffix == ".jpg" else 0
    print(f"tags kept, of {counts.pop('of')}: {', '.join(f'{name} {count}' for name, count in counts.items())}")


if __name__ == "__main__":
    main()
