"""What a batch will do: photos, trimaps, outputs, early problems."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from mattecli.errors import InputError, UsageError
from mattecli.imaging.image import SUFFIXES
from mattecli.system.folders import as_read, folds_case
from mattecli.work.outcome import Failed, Job

OUTPUT = "{dir}/{stem}_{what}.png"


@dataclass(frozen=True)
class JobList:
    """What a folder or a manifest asks for.

    `failed` are photos that cannot become jobs. `unused` are trimaps without a photo, `strays` other files without one
    by what they are, such as core masks, `foreign` pictures of formats that are not taken, and `saved` what was saved
    of photos beside them, all as far as they were seen.
    """

    jobs: list[Job] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    strays: dict[str, list[str]] = field(default_factory=dict)
    saved: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self.jobs) + len(self.failed)

    def only(self, images: Iterable[str], *, below: bool = True) -> JobList:
        """The part that concerns these images (absolute paths), and with `below` what is in folders among them."""
        wanted = set(images)
        folders = {image for image in wanted if below and os.path.isdir(image)}

        def concerns(image: str) -> bool:
            path = os.path.abspath(image)
            return path in wanted or (bool(folders) and any(str(above) in folders for above in Path(path).parents))

        return JobList(
            [job for job in self.jobs if concerns(job.image)],
            [failed for failed in self.failed if concerns(failed.image)],
        )

    def shard(self, number: int, count: int) -> JobList:
        """The part of machine `number` of `count` machines, counted from 1.

        It depends on the names alone and is the same on every system. Names are brought to one Unicode form first,
        since macOS decomposes accents that others keep composed.
        """
        return JobList(
            [job for job in self.jobs if _owner(job.name, count) == number],
            [failed for failed in self.failed if _owner(failed.name, count) == number],
            self.unused if number == 1 else [],
            self.foreign if number == 1 else [],
            self.strays if number == 1 else {},
            self.saved if number == 1 else [],
        )


def fill(pattern: str, values: Mapping[str, str], *, option: str) -> str:
    """The pattern with each `{key}` replaced. Raises UsageError for braces around anything but a known key."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            keys = ", ".join(f"{{{key}}}" for key in values)
            raise UsageError(f"{option} {pattern} has {found[0]}, which has no meaning; use {keys}")
        return values[found[1]]

    return re.sub(r"\{(\w*)\}", value, pattern)


def name_values(name: str) -> dict[str, str]:
    """What `{dir}`, `{stem}` and `{name}` stand for: of `summer/cat.jpg` these are `summer`, `cat` and `cat.jpg`."""
    path = PurePosixPath(name)
    return {"dir": str(path.parent), "stem": path.stem, "name": path.name}


def outputs_of(
    name: str,
    out: Path,
    kinds: Sequence[str],
    pattern: str,
    *,
    suffixes: Mapping[str, str] | None = None,
    patterns: Mapping[str, str] | None = None,
    option: str = "--name",
) -> dict[str, str]:
    """The file of each output of the photo of that name.

    `suffixes` replace that of the pattern, and `patterns` the whole pattern, for outputs that have their own. A pattern
    that ends in `{name}` has the photo's suffix.
    """
    values, settled, own = name_values(name), suffixes or {}, patterns or {}

    def output(kind: str) -> str:
        given, what = own.get(kind, pattern), {**values, "what": kind}
        if given.endswith("{name}"):
            return with_suffix(fill(given, what, option=option), settled.get(kind))
        return fill(with_suffix(given, settled.get(kind)), what, option=option)  # a stem may hold what looks like one

    return {kind: os.path.normpath(out / output(kind)) for kind in kinds}


def with_suffix(name: str, suffix: str | None) -> str:
    """The name with this suffix in place of that of a picture; None leaves the name as it is."""
    if suffix is None:
        return name
    path = PurePosixPath(name)
    return str(path.with_suffix(suffix) if path.suffix.lower() in {*SUFFIXES, ".npy"} else f"{name}{suffix}")


def check_pattern(pattern: str, kinds: Sequence[str]) -> None:
    """Raise UsageError for a pattern of output names that gives all photos, or all kinds of output, one name."""
    fill(pattern, {"dir": "", "stem": "", "name": "", "what": ""}, option="--name")
    if "{stem}" not in pattern and "{name}" not in pattern:
        raise UsageError(f"--name {pattern} gives every photo the same output; put {{stem}} or {{name}} into it")
    if len(kinds) > 1 and "{what}" not in pattern:
        raise UsageError(f"--name {pattern} gives {' and '.join(kinds)} the same file; put {{what}} into it")
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UsageError(f"--name {pattern} leads out of the output folder; give a path below it")


def without_clashes(
    listed: JobList,
    out: Path,
    *,
    scanned: Sequence[str] = (),
    patterns: Collection[str] = (),
    columns: Collection[str] = (),
) -> JobList:
    """The list, with those jobs failed whose output is also another's output, an input, or in a folder of inputs.

    Capitals tell files apart if they do in the output folder. `scanned` are the folders in which photos and trimaps
    were looked for. The next run would take for an input what is written there. `patterns` are the outputs whose names
    a preset gives, and `columns` the files that a manifest names.
    """

    def named_by(output: str, file: str) -> str | None:
        return "the column output" if file in columns else "file in [[deliver]]" if output in patterns else None

    real = _folding(resolver()) if folds_case(out) else resolver()
    writers: dict[str, list[str]] = {}
    readers = {real(path) for job in listed.jobs for path in job.inputs}
    for job in listed.jobs:
        for output in job.outputs.values():
            names = writers.setdefault(real(output), [])
            if len(names) < 2 or (len(names) == 2 and names[0] == names[1] != job.name):  # these tell a clash
                names.append(job.name)
    folders = [real(os.path.realpath(folder)) for folder in scanned]
    jobs, failed = [], list(listed.failed)
    for job in listed.jobs:
        reason = job.doubled() or _clash(job, real, writers, readers, folders, named_by)
        if reason is None:
            jobs.append(job)
        else:
            failed.append(Failed(job.name, job.image, reason, job.trimap, extra=job.extra, what=job.what))
    return replace(listed, jobs=jobs, failed=failed)


def check_inside(jobs: Iterable[Job], out: Path) -> None:
    """Raise InputError for an output that would not lie in the output folder, by its name or through a link there."""
    real = resolver()
    for job in jobs:
        for output in job.outputs.values():
            if (how := way_out(output, out, real=real)) is not None:
                raise InputError(f"{job.image}: its output {output} {how}; remove the link, or give another --name")


def way_out(path: str | Path, folder: str | Path, *, real: Callable[[str], str] = os.path.realpath) -> str | None:
    """How a file's name would lead out of a folder, as the end of a sentence; None if the file lies below the folder.

    The name may do so itself, or a link may. Neither file nor folder need exist. `real` takes the place of
    `os.path.realpath`, for callers that ask about many files.
    """
    if not _can_be_a_name(str(path)):
        return "is not a name that a file can have"
    # The folder may be a link itself, and Windows does not tell capitals apart.
    top = os.path.normcase(os.path.join(os.path.normpath(real(os.path.join(os.path.abspath(folder), "."))), ""))
    target = real(os.path.abspath(path))
    below = os.path.normcase(target)
    if below.startswith(top) and below != top:
        return None
    if os.path.join(below, "") == top:
        return f"is the output folder {folder} itself"
    inside = os.path.abspath(path).startswith(os.path.join(os.path.abspath(folder), ""))
    return f"leads out of the output folder {folder}" + (f" through a link to {target}" if inside else "")


def _can_be_a_name(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def resolver() -> Callable[[str], str]:
    """A fast `os.path.realpath` for many files of few folders, right as long as no link changes."""
    folders: dict[str, str] = {}

    def real(path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return os.path.join(folders[folder], name)

    return real


def _folding(real: Callable[[str], str]) -> Callable[[str], str]:
    """The same for a disk that does not know capitals; such disks do not tell the forms of accents apart either."""
    return lambda path: as_read(real(path)).casefold()


def _clash(
    job: Job,
    resolve: Callable[[str], str],
    writers: dict[str, list[str]],
    readers: set[str],
    folders: list[str],
    named_by: Callable[[str, str], str | None],
) -> str | None:
    for name, output in job.outputs.items():
        real, elsewhere = resolve(output), named_by(name, output)
        if others := [other for other in writers[real] if other != job.name]:
            if others[0].casefold() == job.name.casefold():
                return f"{output} and the output of {others[0]} are one file on its disk; rename one of the photos"
            remedy = f"change {elsewhere}" if elsewhere else "give --name {dir}/{name}_{what}.png"
            return f"{output} is also the output of {others[0]}; {remedy}"
        if len(writers[real]) > 1:
            return f"{output} is the output of two lines of the manifest; give each its own"
        if real in readers:
            remedy = f"change {elsewhere}" if elsewhere else "give --name another pattern"
            return f"{output} is an input of this run and is never written to; {remedy}"
        for folder in folders:
            if real.startswith(folder + os.sep):
                return f"{output} lies in {folder}, which holds inputs; name an output folder outside it"
    return None


def _owner(name: str, count: int) -> int:
    text = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") % count + 1
