"""Reads manifests: lists of photos and trimaps become jobs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mattecli.batch.jobs import OUTPUT, JobList, outputs_of, resolver, way_out, without_clashes
from mattecli.batch.table import Line, read_lines
from mattecli.compositing.outputs import parse_colour
from mattecli.errors import InputError, UsageError
from mattecli.work.making import Making
from mattecli.work.outcome import Failed, Job


def read_manifest(
    manifest: Path,
    out: Path,
    *,
    kinds: Sequence[str] = ("alpha",),
    composites: Collection[str] = ("composite",),
    pattern: str = OUTPUT,
    background: str | None = None,
    backgrounds: Mapping[str, str] | None = None,
    suffixes: Mapping[str, str] | None = None,
    patterns: Mapping[str, str] | None = None,
    making: Making | None = None,
) -> JobList:
    """The jobs of a manifest: CSV with a line of column names, or JSON lines; see `read_lines`.

    `image` and `trimap` are paths; relative ones start at the manifest's folder. `making` is how the trimaps are read.
    `output` is a path below `out`, which may hold `{what}`; without it `pattern` names the outputs. `suffixes` and
    `patterns` are as in `outputs_of`. `background` is a picture or a colour; without it the `background` of this call
    is used. A line that has neither fails where one of `kinds` is among `composites`. `backgrounds` are those of
    outputs that have one of their own; then lines name none. Other columns are a job's `extra`. A line that cannot be
    matted is a Failed. Raises InputError for a manifest that cannot be read, and for an output that would not lie in
    `out`.
    """
    listed = JobList()
    real = resolver()
    columns: set[str] = set()  # the outputs that the column of that name gives
    for line in read_lines(manifest):
        try:
            entry = _job(line, manifest, out, kinds, pattern, background, suffixes, patterns)
            if isinstance(entry, Job) and entry.background is None and _behind(kinds, composites, backgrounds):
                reason = f"{manifest} names no background in line {line.number}; add it or give -b"
                entry = _failed(line, manifest, entry.name, reason, entry.trimap)
        except UsageError as error:  # not a colour, or braces without a meaning
            given = line.values.get("image", "")
            entry = _failed(line, manifest, _name(given), f"line {line.number}: {error}")
        if isinstance(entry, Failed):
            listed.failed.append(entry)
            continue
        if backgrounds and line.values.get("background"):
            reason = f"{manifest} names a background in line {line.number}, beside several -b; leave one of them out"
            listed.failed.append(_failed(line, manifest, entry.name, reason, entry.trimap))
            continue
        entry = replace(entry, making=making, backgrounds=backgrounds or {})
        for output in entry.outputs.values():
            if (how := way_out(output, out, real=real)) is not None:
                given = line.values.get("output") or output
                raise InputError(
                    f"{manifest} line {line.number}: the output {given} {how}; give a path below that folder"
                )
        if line.values.get("output"):
            columns.update(entry.outputs.values())
        listed.jobs.append(entry)
    if not listed.jobs and not listed.failed:
        raise InputError(f"{manifest} lists no image; write a line for each, with its image and trimap")
    return without_clashes(listed, out, patterns=patterns or {}, columns=columns)


def _job(
    line: Line,
    manifest: Path,
    out: Path,
    kinds: Sequence[str],
    pattern: str,
    background: str | None,
    suffixes: Mapping[str, str] | None,
    patterns: Mapping[str, str] | None,
) -> Job | Failed:
    number, values = line.number, line.values
    given, paired = values.get("image", ""), values.get("trimap", "")
    name = _name(given) if given else f"line {number}"
    if not given or not paired:
        missing = "trimap" if given else "image"
        return _failed(line, manifest, name, f"{manifest} names no {missing} in line {number}; add it")
    image, trimap = (os.path.normpath(manifest.parent / path) for path in (given, paired))
    for path in (image, trimap):
        if not os.path.isfile(path):
            reason = f"{path}, of {manifest} line {number}, is not a file; check its name"
            return _failed(line, manifest, name, reason, trimap)
    if (wanted := values.get("output")) and len(kinds) > 1 and "{what}" not in wanted:
        reason = f"{manifest} names one output for {len(kinds)} kinds of output in line {number}; put {{what}} into it"
        return _failed(line, manifest, name, reason, trimap)
    if wanted:
        outputs = outputs_of(name, out, kinds, wanted, suffixes=suffixes, option=f"{manifest}: output")
    else:
        outputs = outputs_of(name, out, kinds, pattern, suffixes=suffixes, patterns=patterns)
    under = _background(values.get("background", ""), manifest) or background
    return Job(name, image, trimap, outputs, under, line.extra)


def _behind(kinds: Sequence[str], composites: Collection[str], backgrounds: Mapping[str, str] | None) -> bool:
    """Whether an output needs a background that is not its own."""
    return any(kind in composites and kind not in (backgrounds or {}) for kind in kinds)


def _failed(line: Line, manifest: Path, name: str, reason: str, trimap: str | None = None) -> Failed:
    given = line.values.get("image")
    image = os.path.normpath(manifest.parent / given) if given else str(manifest)
    return Failed(name, image, reason, trimap, extra=line.extra)


def _name(image: str) -> str:
    """The image's name in outputs, reports and shards: its path as written, or the file's name if the path leads up."""
    path = Path(os.path.normpath(image))
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


def _background(text: str, manifest: Path) -> str | None:
    if not text or text.lower() == "transparent" or parse_colour(text) is not None:
        return text or None
    return os.path.normpath(manifest.parent / text)
