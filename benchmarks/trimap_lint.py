"""The linter of trimaps: how often it is right about damaged ones, and whether it is silent about good ones.

    python benchmarks/trimap_lint.py DATASET… [--trimaps trimap trimap2] [--list]

Each DATASET holds `image/` and folders of trimaps, as `trimaps.py` reads them and `trimap_scenes.py` makes them. Every
trimap is checked as it is, and after each damage:

- mirrored, upside down, turned: by 180°
- shifted: by 5 % of the width and height, in a direction drawn by the picture's name
- halved: the unknown part half as wide, around its middle; counted once more where that cuts hair or blur: where the
  true alpha, from `alpha/`, is off by over 0.25 on over 12 % of the known border
- jpeg: saved as JPEG of quality 75
- labels: 0, 1 and 2 in place of 0, 128 and 255

A damage counts as found where a finding of one of its kinds is among those of the linter. For a turned or shifted
trimap that may also be that its band cuts the edge. Trimaps without any foreground or background are left out. The
table (Markdown) goes to stdout.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, unknown
from mattecli.trimaps.clean import depth
from mattecli.trimaps.lint import check_trimap
from mattecli.trimaps.pairs import read_trimap

Gray = NDArray[np.uint8]


def shifted(trimap: Gray, name: str) -> Gray:
    right, down = np.random.default_rng(zlib.crc32(name.encode())).choice([-0.05, 0.05], 2)
    height, width = trimap.shape
    move = np.array([[1, 0, right * width], [0, 1, down * height]], np.float32)
    return np.asarray(
        cv2.warpAffine(trimap, move, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def halved(trimap: Gray, _: str) -> Gray:
    front, back = depth(trimap != FOREGROUND), depth(trimap != BACKGROUND)
    middle = np.abs(front - back) < 0.5 * (front + back)
    return np.where(unknown(trimap) & middle, UNKNOWN, np.where(front <= back, FOREGROUND, BACKGROUND)).astype(np.uint8)


def through_jpeg(trimap: Gray, _: str) -> Gray:
    _, code = cv2.imencode(".jpg", trimap, [cv2.IMWRITE_JPEG_QUALITY, 75])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.uint8)


def cuts(trimap: Gray, alpha: Gray) -> bool:
    """Whether a trimap's border cuts hair or blur, by the true alpha."""
    beside = ~unknown(trimap) & (depth(~unknown(trimap)) <= 2)
    wrong = np.abs(trimap.astype(np.float32) - alpha) > 0.25 * 255
    return float(wrong[beside].mean()) > 0.12 if beside.any() else False


PLACE = {"orientation", "offset", "narrow band"}
DAMAGES: dict[str, tuple[Callable[[Gray, str], Gray], set[str]]] = {
    "none": (lambda trimap, _: trimap, set()),
    "mirrored": (lambda trimap, _: np.ascontiguousarray(trimap[:, ::-1]), PLACE),
    "upside down": (lambda trimap, _: np.ascontiguousarray(trimap[::-1]), PLACE),
    "turned": (lambda trimap, _: np.ascontiguousarray(trimap[::-1, ::-1]), PLACE),
    "shifted": (shifted, PLACE),
    "halved": (halved, {"narrow band"}),
    "jpeg": (through_jpeg, {"values"}),
    "labels": (lambda trimap, _: (trimap // 127).astype(np.uint8), {"values"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--trimaps", nargs="+", default=["trimap", "trimap2"], help="folders of trimaps in each")
    parser.add_argument("--list", action="store_true", help="name each finding on stderr")
    options = parser.parse_args()
    pairs = [
        (data / "image" / path.name, path)
        for data in options.datasets
        for folder in options.trimaps
        for path in sorted((data / folder).iterdir())
        if {BACKGROUND, FOREGROUND} <= set(np.unique(read_trimap(path)))
    ]
    print(f"{len(pairs)} trimaps\n\n| damage | found | of | share |\n|---|---:|---:|---:|")
    photos = {photo: read_image(photo).pixels for photo, _ in pairs}
    for damage, (harm, kinds) in DAMAGES.items():
        found, cutting = 0, []
        for photo, path in pairs:
            harmed = harm(read_trimap(path), path.stem)
            kinds_found = {one.kind for one in check_trimap(harmed, photo=photos[photo])}
            hit = bool(kinds_found & kinds) if kinds else bool(kinds_found)
            found += hit
            if damage == "halved" and cuts(harmed, to_depth(read_alpha(photo.parents[1] / "alpha" / path.name), 8)):
                cutting.append(hit)
            if options.list:
                print(f"{damage}, {path}: {', '.join(kinds_found) or '–'}", file=sys.stderr)
        what = damage if kinds else "none (false alarms)"
        print(f"| {what} | {found} | {len(pairs)} | {found / len(pairs):.0%} |", flush=True)
        if cutting:
            share = sum(cutting) / len(cutting)
            print(f"| halved, where that cuts | {sum(cutting)} | {len(cutting)} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
