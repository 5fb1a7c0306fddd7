"""The HTML page of a batch report: failures first, then pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.batch.report import ReportLine, Run, attention_of
from mattecli.compositing.composite import cutout
from mattecli.errors import InputError, MatteError
from mattecli.evaluation.attention import reasons_in_words
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.view import network_view
from mattecli.pages.page import check_page, data_uri, shrunk, write_page
from mattecli.trimaps.check import same_aspect
from mattecli.trimaps.pairs import read_trimap

SIDE = 360  # longest side of the pictures, in pixels
SHOWN = 200  # photos with pictures: the page of a million photos must still open


@dataclass(frozen=True)
class _Photo:
    """One photo as the template shows it."""

    name: str
    seconds: float
    unknown: float
    attention: float
    reasons: str  # why the photo needs a look
    facts: list[tuple[str, str]]
    note: str
    problem: str = ""  # why there are no pictures
    pictures: dict[str, str] = field(default_factory=dict)  # data URIs by kind
    captions: dict[str, str] = field(default_factory=dict)  # by kind
    width: int = 0
    height: int = 0


def write_report_page(
    target: Path,
    run: Run,
    *,
    title: str,
    shown: int = SHOWN,
    overwrite: bool = False,
    wording: Callable[[str], str] = str,
    on_done: Callable[[], None] | None = None,
) -> None:
    """Write the page, whole or not at all. Raises `InputError` if that is not possible.

    The `shown` photos that need a look most get pictures, made from the files that the report names. If such a file is
    missing or broken, the page says so in its place. `wording` gives a message in the words of its reader. `on_done` is
    called after each of these photos.
    """
    check_page(target, overwrite=overwrite)
    failed = [(line["name"], wording(line["reason"])) for line in run.lines if line["status"] == "failed"]
    rest = sorted((line for line in run.lines if line["status"] != "failed"), key=_urgency)
    photos = []
    with ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) // 2))) as pool:
        for photo in pool.map(_photo, rest[:shown]):
            photos.append(replace(photo, note=wording(photo.note), problem=wording(photo.problem)))
            if on_done is not None:
                on_done()
    write_page(
        target,
        "report.html",
        overwrite=overwrite,
        title=title,
        notes=_notes(run),
        counts=_counts(run),
        failed=failed,
        photos=photos,
        rest=[(line["name"], list(_facts(line))) for line in rest[shown:]],
    )


def _counts(run: Run) -> list[tuple[str, str]]:
    counts = [(status, str(run.count(status))) for status in ("done", "skipped", "failed")]
    matted = [line for line in run.lines if line["status"] == "done"]
    pixels = sum(line["width"] * line["height"] for line in matted)
    counts.append(("megapixels matted", f"{pixels / 1e6:.1f}"))
    if run.summary is not None:
        counts.append(("total time", _duration(run.summary["seconds"])))
    return counts


def _notes(run: Run) -> list[str]:
    notes = []
    if run.stopped:
        notes.append("The run was stopped before its end. Photos that it had not begun are not listed.")
    devices = sorted({str(line["device"]) for line in run.lines if "device" in line})
    weights = sorted({f"{w['name']} ({w['sha256'][:12]}…)" for line in run.lines if (w := line.get("weights"))})
    if devices:
        notes.append(f"Device: {', '.join(devices)}. Weights: {', '.join(weights)}.")
    return notes


def _photo(line: ReportLine) -> _Photo:
    try:
        pictures = _pictures(line)
    except MatteError as error:
        pictures = {"problem": str(error)}
    except Exception as error:  # one odd file must not cost the page; the page names the error
        pictures = {"problem": f"{type(error).__name__}: {error}"}
    note = line.get("note") or ""
    reasons = reasons_in_words(line.get("attention") or {})
    return _Photo(
        line["name"],
        _seconds(line),
        line.get("unknown", 0),
        attention_of(line),
        reasons,
        list(_facts(line)),
        note,
        **pictures,
    )


def _urgency(line: ReportLine) -> tuple[float, float]:
    """Sorts photos: first those that need a look, and those without a score, as of older runs, by their time."""
    return -attention_of(line), -_seconds(line)


def _facts(line: ReportLine) -> Iterator[tuple[str, str]]:
    """What the report knows of a photo, rounded for reading."""
    if line["status"] == "skipped":
        yield "done", "in an earlier run"
    if "width" in line:
        yield "size", f"{line['width']}×{line['height']}"
    if "unknown" in line:
        yield "unknown", f"{line['unknown']:.1%}"
    if (score := attention_of(line)) >= 0:
        yield "attention", f"{score:.0%}"
    if "seconds" in line:
        yield "time", _duration(line["seconds"])
    if line.get("tile", "off") != "off":
        yield "tile", str(line["tile"])


def _pictures(line: ReportLine) -> dict[str, Any]:
    """The fields of `_Photo` that come from the photo's files."""
    read = line.get("width", 0) * line.get("height", 0)  # the batch may have had a higher limit
    reading = ReadOptions(
        max_pixels=max(ReadOptions.max_pixels, read),
        input_space=line.get("input_space", "auto"),
        layer=line.get("layer"),
    )
    photo = _shown(read_image(line["image"], options=reading))
    height, width = photo.shape[:2]
    shown = {"photo": photo}
    if (given := line.get("mask") or line.get("alpha")) is not None:  # the trimap was made on the way and not kept
        shown["trimap"] = to_depth(shrunk(read_alpha(given, options=reading.limits), SIDE), 8)
    elif "trimap" in line:
        shown["trimap"] = shrunk(read_trimap(line["trimap"], snap=10, reading=reading.limits), SIDE)
    alpha, other = _output(line, reading.limits)
    if alpha is not None:
        small = shrunk(alpha, SIDE)
        one_off = max(abs(small.shape[0] - height), abs(small.shape[1] - width)) <= 1  # both were rounded here
        if not (one_off or same_aspect(small.shape[::-1], (width, height))):
            raise InputError(f"{line['image']} and its output differ in size; run the batch again")
        if small.shape != (height, width):  # a smaller delivery
            small = cv2.resize(small, (width, height))
        shown["alpha"] = to_depth(small, 8)
        shown["cutout"] = to_depth(cutout(photo, small), 8)
    elif other is not None:
        shown["cutout"] = _framed(_shown(other), photo.shape[:2])
    captions = {kind: kind for kind in shown} | {"cutout": "cut-out" if other is None else "result"}
    if given is not None:
        captions["trimap"] = "mask" if "mask" in line else "given alpha"
    return {
        "pictures": {kind: data_uri(pixels) for kind, pixels in shown.items()},
        "captions": captions,
        "width": width,
        "height": height,
    }


def _shown(picture: Image) -> NDArray[np.uint8]:
    """A picture, shrunk, as a browser shows it: in sRGB of 8 bits, with its alpha if it has one."""
    small = replace(picture, pixels=shrunk(picture.pixels, SIDE))
    colours = to_depth(network_view(small), 8)
    if small.pixels.ndim == 2 or small.pixels.shape[2] == 3:
        return colours
    return np.dstack([colours, to_depth(np.clip(small.pixels[..., 3], 0, None), 8)])


def _framed(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """A picture on white in a frame (height, width), whole and in the middle; a subject may have its own canvas."""
    if pixels.shape[:2] == shape:
        return pixels
    scale = min(shape[0] / pixels.shape[0], shape[1] / pixels.shape[1])
    width, height = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    return cv2.copyMakeBorder(
        small,
        top,
        shape[0] - height - top,
        left,
        shape[1] - width - left,
        cv2.BORDER_CONSTANT,
        value=(255, 255, 255, 0),
    )


def _output(line: ReportLine, reading: ReadOptions) -> tuple[NDArray[np.float32] | None, Image | None]:
    """The alpha, if an output holds one; otherwise another picture that was written."""
    output = line["output"]
    files = output if isinstance(output, dict) else {line.get("product", ""): output}
    own = line.get("kinds", {})
    kinds = [own.get(name, name) for name in files]
    chosen = next((kinds.index(kind) for kind in ("alpha", "cutout") if kind in kinds), 0)
    kind, source = kinds[chosen], list(files.values())[chosen]
    if not line.get("placed") and kind not in ("composite", "foreground"):  # placed ones have a frame of their own
        try:
            return read_alpha(source, options=reading), None
        except InputError:  # not a matte
            pass
    return None, read_image(source, keep_alpha=True, options=reading)  # raises if this is not a picture either


def _seconds(line: ReportLine) -> float:
    return float(line.get("seconds", 0))


def _duration(seconds: float) -> str:
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
