"""Pairs photos with trimaps in folders, by file name."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mattecli.batch.jobs import OUTPUT, JobList, check_inside, outputs_of, resolver, without_clashes
from mattecli.batch.partners import ALPHA, BACKGROUND, CORE, ENDING, GARBAGE, MASK, Find, Partners, is_pattern
from mattecli.batch.pictures import walk
from mattecli.errors import InputError
from mattecli.imaging.products import is_saved
from mattecli.system.files import absence, is_folder, is_there
from mattecli.system.folders import natural
from mattecli.work.making import Making
from mattecli.work.outcome import Failed, Job


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
    any. `pattern` names the outputs below `out`; `suffixes` and `patterns` are as in `outputs_of`. `background` is that
    of all composites; a folder or a pattern has one for each photo. `backgrounds` are those of outputs that have one of
    their own. A picture that is the trimap, core, garbage mask or background of another is not a photo, nor is one
    without a trimap of its own that was saved of a photo beside it, such as `cat_alpha.png` of `cat.jpg`.

    `sources` says how the trimaps are made: from masks, and then `sub/cat_mask` counts instead of `sub/cat_trimap`; or
    from the photos alone, and then `trimaps` is None. With `alphas` the files are finished alphas, and `sub/cat_alpha`
    counts.

    Links to folders are followed, except back to a folder above. Hidden files are left out. What looks like a picture
    but cannot be matted is a Failed. Raises InputError where there is no folder, where it has no photo, where none has
    a core or another file that is asked for, and where the outputs would lie among the inputs or outside `out`;
    UsageError for a bad pattern.
    """
    folder = None if trimaps is None or is_pattern(trimaps) else Path(trimaps)
    making = None if sources is None else sources.making
    what = "alpha" if alphas is not None else "trimap" if making is None else making.what
    _check_folders(images, out, folder, recursive=recursive, what=what)
    shelf = None
    if trimaps is not None:
        ending = {"alpha": ALPHA, "mask": MASK, "trimap": ENDING}[what]
        shelf = Partners(trimaps, what=what, ending=ending, option="--trimaps", photos=images)
    one_each = background is not None and is_place(background)
    places = _places(images, sources, alphas, background if one_each else None)

    foreign: list[str] = []
    found = sorted(walk(images, foreign, recursive=recursive), key=lambda entry: natural(entry[0]))
    real = resolver()
    pairs = _Pairs(_itself if shelf is None else shelf.find, places, real)
    apart = [*places, *([shelf] if shelf is not None and shelf.same else [])]
    for name, path, reason in found:
        if reason is None and not any(place.hold(path) for place in apart):
            pairs.add(name, str(path))
    pairs.check(images)
    taken = pairs.taken
    stems = {_stem(name) for name, _, reason in found if reason is None}
    pairs.leave_to_photos(stems)
    listed = JobList(foreign=sorted(foreign, key=natural))
    for name, path, reason in found:
        if reason is not None:
            listed.failed.append(Failed(name, str(path), reason))
        elif name not in pairs.trimaps or real(str(path)) in taken:
            continue  # a trimap, a mask or a background
        elif is_saved(_stem(name), stems) and not any(pairs.trimaps[name]):
            listed.saved.append(str(path))
        elif len(pairs.trimaps[name]) == 1 and name not in pairs.unread:
            outputs = outputs_of(name, out, kinds, pattern, suffixes=suffixes, patterns=patterns)
            trimap, under = pairs.trimaps[name][0] or str(path), None if one_each else background
            job = Job(name, str(path), trimap, outputs, under, making=making, finished=alphas is not None)
            entry = pairs.complete(replace(job, backgrounds=backgrounds or {}))
            if isinstance(entry, Job):
                listed.jobs.append(entry)
            else:
                listed.failed.append(entry)
        elif (fault := pairs.fault(name, path, shelf)) is not None:
            listed.failed.append(Failed(name, str(path), fault))
    if not listed.jobs and not listed.failed:
        raise InputError(
            f"{images} holds no pictures{'' if recursive else ' outside its subfolders'}; check the folder"
        )
    used = taken | {real(str(path)) for name, path, _ in found if name in pairs.trimaps}
    listed.unused.extend([] if shelf is None else shelf.unused(used, real))
    listed.strays.update({place.what: files for place in places if (files := place.unused(used, real))})
    check_inside(listed.jobs, out)
    inputs = [images, *([folder] if folder is not None else [])]
    scanned = [str(path) for path in inputs] if recursive else []
    return without_clashes(listed, out, scanned=scanned, patterns=patterns or {})


def _check_folders(images: Path, out: Path, trimaps: Path | None, *, recursive: bool, what: str) -> None:
    if not is_folder(images):
        fact = "is a file" if is_there(images) else absence(images)
        raise InputError(f"{images} {fact}; name a folder of photos, or use `matte predict` for one")
    if is_there(out) and not is_folder(out):
        raise InputError(f"{out} is a file; name a folder for the outputs")
    if trimaps is not None and not is_folder(trimaps):
        raise InputError(
            f"{trimaps} is not a folder; name the {what}s' folder, or a pattern such as {what}s/{{dir}}/{{stem}}.png"
        )
    real = out.resolve()
    for folder in filter(None, (images, trimaps)):
        if real == (inside := folder.resolve()) or (recursive and inside in real.parents):
            raise InputError(
                f"{out} lies in {folder}, so that the next run would take its outputs for inputs; name a folder outside"
            )


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _itself(_: str) -> list[str]:
    """In place of a trimap's file, where the photo alone gives the trimap."""
    return [""]


def is_place(background: str) -> bool:
    """Whether a background is a folder, or a pattern, with one for each photo. Nothing else has braces."""
    return ("{" in background and not os.path.exists(background)) or os.path.isdir(background)


def _places(images: Path, sources: Sources | None, alphas: Alphas | None, backgrounds: str | None) -> list[Partners]:
    """Where the other files of the photos lie."""
    cores, garbages = (None, None) if sources is None else (sources.cores, sources.garbages)
    places = (
        ("core mask", cores, CORE, "--cores"),
        ("garbage mask", garbages, GARBAGE, "--garbages"),
        ("trimap", None if alphas is None else alphas.known, ENDING, "--trimap"),
        ("background", backgrounds, BACKGROUND, "--background"),
    )
    return [
        Partners(where, what=what, ending=ending, option=option, photos=images)
        for what, where, ending, option in places
        if where is not None
    ]


class _Pairs:
    """The trimaps of the photos, and their files in other places; `real` is as `os.path.realpath`.

    A file is never paired with itself: neither the photo nor its trimap is its core, garbage mask or background.
    """

    def __init__(self, find: Find, places: Sequence[Partners], real: Callable[[str], str]) -> None:
        self.trimaps: dict[str, list[str]] = {}  # by the photo's name
        self.unread: dict[str, str] = {}  # why files of a photo cannot be found,
        self._unlisted: set[str] = set()  # and of what kinds these are
        self._others: dict[str, dict[str, list[str]]] = {}  # by the photo's name and what they are
        self._find, self._places, self._real = find, places, real

    def add(self, name: str, photo: str) -> None:
        """Find the files of a photo."""
        real, itself = self._real, self._real(photo)
        trimaps = [trimap for trimap in self._found(name, self._find, "") if not trimap or real(trimap) != itself]
        pair = {itself, *(real(trimap) for trimap in trimaps if trimap)}
        self.trimaps[name] = trimaps
        self._others[name] = {
            place.what: [file for file in self._found(name, place.find, place.what) if real(file) not in pair]
            for place in self._places
        }

    def _found(self, name: str, find: Find, what: str) -> list[str]:
        try:
            return find(name)
        except InputError as error:
            self.unread[name] = str(error)
            self._unlisted.add(what)
            return []

    def check(self, images: Path) -> None:
        """Raise InputError for a place that has a file for none of the photos; backgrounds are missed by name."""
        for place in self._places:
            found = [one[place.what] for one in self._others.values()]
            if found and not any(found) and place.what not in {"background", *self._unlisted}:
                raise InputError(place.lacking(f"photo in {images}"))

    def fault(self, name: str, photo: Path, shelf: Partners | None) -> str | None:
        """Why a photo has not one trimap, which `shelf` was to have."""
        if name in self.unread or shelf is None:
            return self.unread.get(name)
        return shelf.fault(photo, self.trimaps[name])

    def leave_to_photos(self, stems: Container[str]) -> None:
        """Take from what was saved of a photo, by these names without suffix, the trimaps that are the photo's.

        `cat_trimap` is the trimap of `cat`, and by the plain rule also that of a picture called `cat_trimap`.
        """
        saved = {name: stem.rpartition("_")[0] for name in self.trimaps if is_saved(stem := _stem(name), stems)}
        of_photos: dict[str, set[str]] = {photo: set() for photo in saved.values()}
        for name, trimaps in self.trimaps.items():
            if (photo := _stem(name)) in of_photos:
                of_photos[photo].update(map(self._real, trimaps))
        for name, photo in saved.items():
            self.trimaps[name] = [one for one in self.trimaps[name] if self._real(one) not in of_photos[photo]]

    @property
    def taken(self) -> set[str]:
        """All files that were found."""
        lists = [*self.trimaps.values(), *(files for one in self._others.values() for files in one.values())]
        return {self._real(path) for files in lists for path in files if path}

    def complete(self, job: Job) -> Job | Failed:
        """The job with its files in other places."""
        found = self._others[job.name]
        for place in self._places:
            files = found[place.what]
            if len(files) > 1 or (not files and place.what == "background"):
                return Failed(job.name, job.image, place.fault(job.image, files), job.trimap, what=job.what)
        files_of = {what: files[0] for what, files in found.items() if files}
        job = replace(job, background=files_of.get("background", job.background), known=files_of.get("trimap"))
        if job.making is None:
            return job
        core, garbage = files_of.get("core mask"), files_of.get("garbage mask")
        return replace(job, making=replace(job.making, core=core, garbage=garbage))
