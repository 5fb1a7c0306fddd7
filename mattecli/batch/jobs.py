"""What a batch is to do: photos with their trimaps and outputs, and what stands in their way, known before any work."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind

OUTPUT = "{dir}/{stem}_{what}.png"


@dataclass(frozen=True, slots=True)
class Job:
    """One photo. `name` is its path below the folder, with slashes; `outputs` holds a file for each product."""

    name: str
    image: str
    trimap: str
    outputs: dict[Kind, str]
    background: str | None = None

    @property
    def inputs(self) -> list[str]:
        """The files it reads, and a background that is a colour."""
        return [self.image, self.trimap, *([] if self.background is None else [self.background])]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the folder or manifest that cannot be matted, and why."""

    name: str
    image: str
    reason: str
    trimap: str | None = None


@dataclass(frozen=True)
class Listing:
    """The jobs, the problems, and, as far as seen, trimaps that no photo asked for and pictures of other formats."""

    jobs: list[Job] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def only(self, names: Iterable[str]) -> Listing:
        """The part of it that concerns these images (absolute paths)."""
        wanted = set(names)
        return Listing(
            [job for job in self.jobs if os.path.abspath(job.image) in wanted],
            [problem for problem in self.problems if os.path.abspath(problem.image) in wanted],
        )

    def shard(self, number: int, count: int) -> Listing:
        """The part that is machine `number`'s of `count` machines, which are counted from 1.

        It depends on the names alone, and is the same on every system: names are brought to one Unicode form first,
        since macOS decomposes accents that others keep composed.
        """
        return Listing(
            [job for job in self.jobs if _owner(job.name, count) == number],
            [problem for problem in self.problems if _owner(problem.name, count) == number],
            self.unused if number == 1 else [],
            self.foreign if number == 1 else [],
        )


def fill(pattern: str, values: Mapping[str, str], *, option: str) -> str:
    """The pattern with `{key}` replaced; other braces than those of known keys are a `UsageError`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            keys = ", ".join(f"{{{key}}}" for key in values)
            raise UsageError(f"{option} {pattern} has {found[0]}, which means nothing; use {keys}")
        return values[found[1]]

    return re.sub(r"\{(\w*)\}", value, pattern)


def name_values(name: str) -> dict[str, str]:
    """What `{dir}`, `{stem}` and `{name}` stand for: of `summer/cat.jpg` these are `summer`, `cat` and `cat.jpg`."""
    path = PurePosixPath(name)
    return {"dir": str(path.parent), "stem": path.stem, "name": path.name}


def outputs_of(name: str, out: Path, kinds: Sequence[Kind], pattern: str) -> dict[Kind, str]:
    """The file of each product of the photo of that name."""
    values = name_values(name)
    return {kind: os.path.normpath(out / fill(pattern, {**values, "what": kind}, option="--name")) for kind in kinds}


def check_pattern(pattern: str, kinds: Sequence[Kind]) -> None:
    """Raise `UsageError` for a pattern of output names that gives all photos, or all products, one name."""
    fill(pattern, {"dir": "", "stem": "", "name": "", "what": ""}, option="--name")
    if "{stem}" not in pattern and "{name}" not in pattern:
        raise UsageError(f"--name {pattern} gives every photo the same output; put {{stem}} or {{name}} into it")
    if len(kinds) > 1 and "{what}" not in pattern:
        raise UsageError(f"--name {pattern} gives {' and '.join(kinds)} the same file; put {{what}} into it")
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UsageError(f"--name {pattern} leads out of the output folder; give a path below it")


def without_clashes(listing: Listing, *, scanned: Sequence[str] = ()) -> Listing:
    """The listing with those jobs as problems whose outputs would meet: another's, an input, or a folder of inputs.

    `scanned` are the folders that the photos and trimaps were looked for in: what is written there would be taken for
    an input by the next run.
    """
    real = resolver()
    writers: dict[str, list[str]] = {}
    readers = {real(path) for job in listing.jobs for path in job.inputs}
    for job in listing.jobs:
        for output in job.outputs.values():
            writers.setdefault(real(output), []).append(job.name)
    folders = [os.path.realpath(folder) for folder in scanned]
    jobs, problems = [], list(listing.problems)
    for job in listing.jobs:
        reason = _clash(job, real, writers, readers, folders)
        if reason is None:
            jobs.append(job)
        else:
            problems.append(Problem(job.name, job.image, reason, job.trimap))
    return Listing(jobs, problems, listing.unused, listing.foreign)


def resolver() -> Callable[[str], str]:
    """A quick `os.path.realpath` for many files of few folders, good as long as no link changes."""
    folders: dict[str, str] = {}

    def real(path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return os.path.join(folders[folder], name)

    return real


def _clash(
    job: Job, resolve: Callable[[str], str], writers: dict[str, list[str]], readers: set[str], folders: list[str]
) -> str | None:
    for output in job.outputs.values():
        real = resolve(output)
        if others := [name for name in writers[real] if name != job.name]:
            return f"{output} is also the output of {others[0]}; give --name a pattern with {{dir}} and {{name}}"
        if len(writers[real]) > 1:
            return f"{output} is the output of two lines of the manifest; give each its own"
        if real in readers:
            return f"{output} is an input of this run and is never written to; give --name another pattern"
        for folder in folders:
            if real.startswith(folder + os.sep):
                return f"{output} lies in {folder}, which holds inputs; name an output folder outside of it"
    return None


def _owner(name: str, count: int) -> int:
    text = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") % count + 1
