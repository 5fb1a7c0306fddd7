"""Pairs photos with trimaps in folders, by file name."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mattecli.batch.jobs import OUTPUT, JobList, check_inside, fill, name_values, outputs_of, resolver, without_clashes
from mattecli.errors import InputError
from mattecli.imaging.image import SUFFIXES
from mattecli.system.folders import as_read, natural, some
from mattecli.work.making import Making
from mattecli.work.outcome import Failed, Job

TRIMAP_SUFFIXES = SUFFIXES | {".npy"}
# Pictures of formats that are not read: raw photographs, layered files, and others.
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".3fr", ".iiq")
_OTHERS = (".xcf", ".kra", ".tga", ".gif", ".svg", ".eps", ".pdf")
FOREIGN = frozenset(_RAW + _OTHERS)
ENDING, MASK, ALPHA, CORE, GARBAGE = "_trimap", "_mask", "_alpha", "_core", "_garbage"
BACKGROUND = "_background"

Found = tuple[str, Path, str | None]  # name below the folder, path, and why it is not a photo
Find = Callable[[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """How the trimaps of a folder of photos are made, if they are not simply read, and where their partners are.

    `cores` and `garbages` are folders or patterns; a photo need not have one there.
    """

    making: Making
    cores: str | None = None
    garbages: str | None = None


@dataclass(frozen=True, kw_only=True)
class Alphas:
    """Where finished alphas are paired in place of trimaps; `known` is where trimaps are that say what is certain.

    `known` is a folder or a pattern; a photo need not have a trimap there.
    """

    known: str | None = None


def find_jobs(
    images: Path,
    out: Path,
    *,
    trimaps: str | None,
    sources: Sources | None = None,
    alphas: Alphas | None = None,
    kinds: Sequence[str] = ("alpha",),
    pattern: str = OUTPUT,
    suffixes: Mapping[str, str] | None = None,
    patterns: Mapping[str, str] | None = None,
    background: str | None = None,
    backgrounds: Mapping[str, str] | None = None,
    recursive: bool = True,
) -> JobList:
    """Pair the photos of a folder with their trimaps, and name their outputs.

    `trimaps` is a folder or a pattern. In a folder, the trimap of `sub/cat.jpg` is `sub/cat` or `sub/cat_trimap` with
    the suffix of any picture. A pattern is a path with `{dir}`, `{stem}` and `{name}`; without a suffix it stands for
    any. A picture that is the trimap of another is not a photo. `pattern` names the outputs below `out`; `suffixes` and
    `patterns` are as in `outputs_of`. `background` is that of all composites; a folder or a pattern has one for each
    photo. `backgrounds` are those of outputs that have one of their own.

    `sources` says how the trimaps are made: from masks, and then `sub/cat_mask` counts instead of `sub/cat_trimap`; or
    from the photos alone, and then `trimaps` is None. With `alphas` the files are finished alphas, and `sub/cat_alpha`
    counts.

    Links to folders are followed, except back to a folder above. Hidden files are left out. What looks like a picture
    but cannot be matted is a Failed. Raises InputError where there is no folder, where it has no photo, and where the
    outputs would lie among the inputs or outside `out`; UsageError for a bad pattern.
    """
    in_folder = trimaps is not None and ("{" not in trimaps or Path(trimaps).is_dir())
    folder = Path(str(trimaps)) if in_folder else None
    making = None if sources is None else sources.making
    what = "alpha" if alphas is not None else "trimap" if making is None else making.what
    _check_folders(images, out, folder, recursive=recursive, what=what)
    shelves, ending = _Shelves(), {"alpha": ALPHA, "mask": MASK, "trimap": ENDING}[what]
    same = folder is not None and folder.samefile(images)
    find: Find = _itself
    if trimaps is not None:
        find = _in_folder(folder, shelves, ending, same=same) if folder is not None else _by_pattern(trimaps, shelves)
    one_each = background is not None and is_place(background)
    complete = _completer(sources, alphas, background if one_each else None)

    foreign: list[str] = []
    found = sorted(_walk(images, foreign, recursive=recursive), key=lambda entry: natural(entry[0]))
    real = resolver()
    trimaps_of = {
        name: [trimap for trimap in find(name) if not trimap or real(trimap) != real(str(path))]
        for name, path, reason in found
        if reason is None
    }
    taken = {real(path) for paths in trimaps_of.values() for path in paths if path}
    listed = JobList(foreign=sorted(foreign, key=natural))
    for name, path, reason in found:
        if reason is not None:
            listed.failed.append(Failed(name, str(path), reason))
        elif real(str(path)) in taken or (same and path.stem.endswith(ending)):
            continue  # a trimap
        elif len(trimaps_of[name]) == 1:
            outputs = outputs_of(name, out, kinds, pattern, suffixes=suffixes, patterns=patterns)
            trimap, under = trimaps_of[name][0] or str(path), None if one_each else background
            job = Job(name, str(path), trimap, outputs, under, making=making, finished=alphas is not None)
            job = replace(job, backgrounds=backgrounds or {})
            entry = complete(job)
            if isinstance(entry, Job):
                listed.jobs.append(entry)
            else:
                listed.failed.append(entry)
        else:
            listed.failed.append(Failed(name, str(path), _unpaired(path, trimaps_of[name], str(trimaps), what)))
    if not listed.jobs and not listed.failed:
        raise InputError(
            f"{images} holds no pictures{'' if recursive else ' outside its subfolders'}; check the folder"
        )
    if folder is not None and not same:
        listed.unused.extend(path for path in shelves.pictures() if real(path) not in taken)
    check_inside(listed.jobs, out)
    inputs = [images, *([folder] if folder is not None else [])]
    return without_clashes(listed, scanned=[str(path) for path in inputs] if recursive else [])


def _check_folders(images: Path, out: Path, trimaps: Path | None, *, recursive: bool, what: str) -> None:
    if not images.is_dir():
        fact = "is a file" if images.exists() else "does not exist"
        raise InputError(f"{images} {fact}; name a folder of photos, or use `matte predict` for one")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder for the outputs")
    if trimaps is not None and not trimaps.is_dir():
        raise InputError(
            f"{trimaps} is not a folder; name the {what}s' folder, or a pattern such as '{what}s/{{dir}}/{{stem}}.png'"
        )
    real = out.resolve()
    for folder in filter(None, (images, trimaps)):
        if real == (inside := folder.resolve()) or (recursive and inside in real.parents):
            raise InputError(
                f"{out} lies in {folder}, so that the next run would take its outputs for inputs; name a folder outside"
            )


def _unpaired(photo: Path, found: list[str], where: str, what: str) -> str:
    if not found:
        return f"{photo} has no {what} in {where}; add one of the same name, or take the photo out"
    return f"{photo} has several {what}s: {some(found)}; keep one of them"


def finder(where: str, ending: str, option: str) -> Find:
    """What finds the files of a photo's name in a folder, with that ending or without, or by a pattern."""
    if "{" in where and not Path(where).is_dir():
        return _by_pattern(where, _Shelves(), option)
    if not Path(where).is_dir():
        raise InputError(f"{where} is not a folder; name a folder for {option}, or a pattern with {{stem}}")
    return _in_folder(Path(where), _Shelves(), ending, same=False)


def _itself(_: str) -> list[str]:
    """In place of a trimap's file, where the photo alone gives the trimap."""
    return [""]


def is_place(background: str) -> bool:
    """Whether a background is a folder, or a pattern, with one for each photo. Nothing else has braces."""
    return ("{" in background and not Path(background).exists()) or Path(background).is_dir()


def _completer(
    sources: Sources | None, alphas: Alphas | None, backgrounds: str | None
) -> Callable[[Job], Job | Failed]:
    """What adds to a job the files of its name that lie elsewhere."""
    cores, garbages = (None, None) if sources is None else (sources.cores, sources.garbages)
    places = (
        ("core mask", cores, CORE, "--cores"),
        ("garbage mask", garbages, GARBAGE, "--garbages"),
        ("trimap", None if alphas is None else alphas.known, ENDING, "--trimap"),
        ("background", backgrounds, BACKGROUND, "--background"),
    )
    given = [place for place in places if place[1] is not None]
    finders = {what: (str(where), finder(str(where), ending, option)) for what, where, ending, option in given}

    def complete(job: Job) -> Job | Failed:
        found = {what: find(job.name) for what, (_, find) in finders.items()}
        for what, files in found.items():
            if len(files) > 1 or (not files and what == "background"):
                reason = _unpaired(Path(job.image), files, finders[what][0], what)
                return Failed(job.name, job.image, reason, job.trimap, what=job.what)
        files_of = {what: files[0] for what, files in found.items() if files}
        job = replace(job, background=files_of.get("background", job.background), known=files_of.get("trimap"))
        if job.making is None:
            return job
        core, garbage = files_of.get("core mask"), files_of.get("garbage mask")
        return replace(job, making=replace(job.making, core=core, garbage=garbage))

    return complete


def _walk(top: Path, foreign: list[str], *, recursive: bool) -> Iterator[Found]:
    """All that looks like a picture below a folder; pictures of formats that are not read are put into `foreign`."""
    todo: list[tuple[str, str, frozenset[str]]] = [(str(top), "", frozenset([os.path.realpath(top)]))]
    while todo:
        folder, prefix, above = todo.pop()
        try:
            with os.scandir(folder) as entries:
                listed = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            if not prefix:
                raise InputError(f"{top} cannot be read ({error.strerror}); check its permissions") from error
            yield prefix.rstrip("/"), Path(folder), f"{folder} cannot be read ({error.strerror}); check its permissions"
            continue
        for entry in listed:
            path = Path(entry.path)
            is_folder, wrong = _look_at(entry, above)
            if is_folder and wrong is None:
                if recursive:
                    todo.append((entry.path, f"{prefix}{entry.name}/", above | {os.path.realpath(path)}))
            elif wrong is not None or path.suffix.lower() in SUFFIXES:
                yield prefix + entry.name, path, wrong
            elif path.suffix.lower() in FOREIGN:
                foreign.append(entry.path)


def _look_at(entry: os.DirEntry[str], above: frozenset[str]) -> tuple[bool, str | None]:
    """Whether it is a folder, and what is wrong with something that is, or looks like, a folder or a picture."""
    path, looks = entry.path, Path(entry.name).suffix.lower() in SUFFIXES
    try:
        if entry.is_dir():
            if looks:
                return True, f"{path} is a folder with a picture's name; rename it"
            if entry.is_symlink() and (real := os.path.realpath(path)) in above:
                return True, f"{path} is a link back to {real}, in which it lies; remove the link"
            return True, None
        if looks and not entry.is_file():
            os.stat(path)  # raises where it is a link to nowhere or to itself
            return False, f"{path} is not a regular file; name a file or take it out"
        if entry.is_symlink() and not looks:
            os.stat(path)
    except OSError as error:
        circle = error.errno == errno.ELOOP
        if looks or circle:
            reason = "it is a link in a circle" if circle else error.strerror
            return False, f"{path} cannot be read ({reason}); repair or remove it"
    return False, None


class _Shelves:
    """The pictures of folders by name without suffix, as people read it; each folder is read once."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[str]]] = {}

    def find(self, folder: str, stem: str) -> list[str]:
        """The pictures of that name, with whatever suffix."""
        if folder not in self._folders:
            self._folders[folder] = self._read(folder)
        return self._folders[folder].get(as_read(stem), [])

    def pictures(self) -> Iterator[str]:
        """All of them."""
        for shelf in self._folders.values():
            for paths in shelf.values():
                yield from paths

    @staticmethod
    def _read(folder: str) -> dict[str, list[str]]:
        shelf: dict[str, list[str]] = {}
        try:
            folder = _as_it_is_spelt(folder)
            names = sorted(os.listdir(folder))
        except OSError:  # mostly a missing folder: its photos are then reported as photos without a trimap
            names = []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in TRIMAP_SUFFIXES and not name.startswith("."):
                shelf.setdefault(as_read(stem), []).append(os.path.join(folder, name))
        return shelf


def _as_it_is_spelt(folder: str) -> str:
    """The folder if it exists, else the one that reads the same: accents have two spellings in Unicode."""
    if os.path.isdir(folder):
        return folder
    above, name = os.path.split(folder)
    if not name:
        return folder
    above = _as_it_is_spelt(above)
    spelt = (other for other in sorted(os.listdir(above or ".")) if as_read(other) == as_read(name))
    return os.path.join(above, next(spelt, name))


def _in_folder(folder: Path, shelves: _Shelves, ending: str, *, same: bool) -> Find:
    """Trimaps in a tree like the photos'; in the photos' own folder only names with the ending are trimaps."""

    def find(name: str) -> list[str]:
        values = name_values(name)
        where = os.path.normpath(folder / values["dir"])
        plain = [] if same else shelves.find(where, values["stem"])
        return plain + shelves.find(where, values["stem"] + ending)

    return find


def _by_pattern(pattern: str, shelves: _Shelves, option: str = "--trimaps") -> Find:
    def find(name: str) -> list[str]:
        path = os.path.normpath(fill(pattern, name_values(name), option=option))
        folder, base = os.path.dirname(path) or ".", os.path.basename(path)
        stem, suffix = os.path.splitext(base)
        if suffix.lower() not in TRIMAP_SUFFIXES:
            return shelves.find(folder, base)
        if os.path.lexists(path):
            return [path]
        return [found for found in shelves.find(folder, stem) if found.endswith(suffix)]

    return find
