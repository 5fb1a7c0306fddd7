"""Reads manifests: CSV or JSONL lists of photos and trimaps."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mattecli.batch.jobs import OUTPUT, JobList, outputs_of, without_clashes
from mattecli.compositing.outputs import parse_colour
from mattecli.errors import InputError, UsageError
from mattecli.imaging.choices import Kind
from mattecli.work.outcome import Failed, Job

COLUMNS = ("image", "trimap", "output", "background")


def read_manifest(
    manifest: Path,
    out: Path,
    *,
    kinds: Sequence[Kind] = ("alpha",),
    pattern: str = OUTPUT,
    background: str | None = None,
    suffixes: Mapping[Kind, str] | None = None,
) -> JobList:
    """The jobs of a manifest: CSV with a line of column names, or JSON lines.

    `image` and `trimap` are paths; relative ones start at the manifest's folder. `output` is a path below `out`, which
    may hold `{what}`; without it `pattern` names the outputs. `suffixes` replace theirs. `background` is a picture or a
    colour; without it the `background` of this call is used. A line that cannot be matted is a
    Failed. Raises InputError for a manifest that cannot be read.
    """
    listed = JobList()
    for number, line in _lines(manifest):
        unknown = [key for key in line if key not in COLUMNS]
        if unknown:
            raise InputError(f"{manifest} has a column {unknown[0]!r}; it may have {', '.join(COLUMNS)}")
        try:
            entry = _job(line, manifest, number, out, kinds, pattern, background, suffixes)
        except UsageError as error:  # not a colour, or braces without a meaning
            given = line.get("image", "")
            entry = Failed(_name(given), os.path.normpath(manifest.parent / given), f"line {number}: {error}")
        if isinstance(entry, Job):
            listed.jobs.append(entry)
        else:
            listed.failed.append(entry)
    if not listed.jobs and not listed.failed:
        raise InputError(f"{manifest} lists no image; write a line for each, with its image and trimap")
    return without_clashes(listed)


def _job(
    line: dict[str, str],
    manifest: Path,
    number: int,
    out: Path,
    kinds: Sequence[Kind],
    pattern: str,
    background: str | None,
    suffixes: Mapping[Kind, str] | None,
) -> Job | Failed:
    given = line.get("image", "")
    image = os.path.normpath(manifest.parent / given) if given else ""
    name = _name(given) if given else f"line {number}"
    if not given or not line.get("trimap"):
        missing = "trimap" if given else "image"
        return Failed(name, image or str(manifest), f"{manifest} names no {missing} in line {number}; add it")
    trimap = os.path.normpath(manifest.parent / line["trimap"])
    for path in (image, trimap):
        if not os.path.isfile(path):
            return Failed(name, image, f"{path}, of {manifest} line {number}, is not a file; check its name", trimap)
    if wanted := line.get("output"):
        if len(kinds) > 1 and "{what}" not in wanted:
            reason = (
                f"{manifest} names one output for {len(kinds)} kinds of output in line {number}; put {{what}} into it"
            )
            return Failed(name, image, reason, trimap)
        outputs = outputs_of(name, out, kinds, wanted, suffixes=suffixes, option=f"{manifest}: output")
    else:
        outputs = outputs_of(name, out, kinds, pattern, suffixes=suffixes)
    under = _background(line.get("background", ""), manifest) or background
    if "composite" in kinds and under is None:
        return Failed(name, image, f"{manifest} names no background in line {number}; add it or give -b", trimap)
    return Job(name, image, trimap, outputs, under)


def _name(image: str) -> str:
    """The image's name in outputs, reports and shards: its path as written, or the file's name if the path leads up."""
    path = Path(os.path.normpath(image))
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


def _background(text: str, manifest: Path) -> str | None:
    if not text or text.lower() == "transparent" or parse_colour(text) is not None:
        return text or None
    return os.path.normpath(manifest.parent / text)


def _lines(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines that are not empty, with their numbers. Raises InputError."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            if manifest.suffix.lower() == ".csv":
                reader = csv.DictReader(file, restkey="a column without a name", restval="")
                if "image" not in (reader.fieldnames or ()):
                    raise InputError(f"{manifest} has no column image; its first line must name {', '.join(COLUMNS)}")
                for row in reader:
                    yield reader.line_num, {key: _text(value) for key, value in row.items()}
            else:
                for number, text in enumerate(file, start=1):
                    if text.strip():
                        yield number, _object(text, manifest, number)
    except OSError as error:
        raise InputError(f"{manifest} cannot be read ({error.strerror}); check its name") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest} is not text in UTF-8 ({error}); save it as CSV or JSON lines") from error


def _object(text: str, manifest: Path, number: int) -> dict[str, str]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{manifest} line {number} is not JSON ({error.msg}); write one object a line") from error
    if not isinstance(line, dict):
        raise InputError(f"{manifest} line {number} is not a JSON object; write one a line, with image and trimap")
    return {key: _text(value) for key, value in line.items()}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
