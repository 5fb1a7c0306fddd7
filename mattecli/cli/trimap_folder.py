"""`matte trimap MASKS/ OUT/`: the trimaps of a folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mattecli.cli.folder_run import warn_of_left_out
from mattecli.cli.progress import progress_bar
from mattecli.cli.targets import check_in_folder
from mattecli.cli.terminal import printable
from mattecli.errors import InputError, MatteError, UsageError

if TYPE_CHECKING:
    from mattecli.batch.partners import Partners
    from mattecli.cli.terminal import Terminal
    from mattecli.cli.trimap import Make, TrimapFiles


@dataclass(frozen=True)
class _Source:
    """A mask or photo: its name below the folder, its file, what is wrong with it, and its files in other places.

    `stem` is its name without suffix, and without `_mask` if it is a mask.
    """

    name: PurePosixPath
    path: Path
    stem: str
    wrong: str | None
    partners: Mapping[str, list[str]]


def make_folder_of_trimaps(
    masks: str,
    out: Path | None,
    files: TrimapFiles,
    make: Make,
    terminal: Terminal,
    *,
    of_masks: bool,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Make `OUT/NAME_trimap.png` of each mask or photo; gives the exit code: 1 if one failed, else 0.

    A trimap that is there already is left as it is, so that a second run goes on where the first one stopped;
    `overwrite` makes it again. With folders for photo, core and garbage, the files of the mask's name are taken. The
    `_mask` at the end of a mask's name is not part of it.
    """
    from mattecli.system.files import is_there, make_folder

    out = _checked(masks, out, files)
    found = _sources(Path(masks), _places(masks, files), terminal, of_masks=of_masks)
    makers: dict[str, Path] = {}  # by the trimap's name; not every disk tells capitals apart
    counts = {"done": 0, "there already": 0, "failed": 0}

    def make_trimap(source: _Source) -> dict[str, Any] | None:
        """The fields of `--json`; None where the trimap is there already."""
        target = out / source.name.parent / f"{source.stem}_trimap.png"
        if source.wrong is not None:
            raise InputError(source.wrong)
        if (first := makers.setdefault(str(target).casefold(), source.path)) != source.path:
            raise InputError(f"{source.path} and {first} would both give {target}; keep one of them")
        if is_there(target) and not overwrite:
            return None
        check_in_folder([target], out)
        one = dataclasses.replace(files, output=str(target), **_chosen(source, files))
        make_folder(target.parent)
        return make(str(source.path), one, terminal, overwrite=overwrite, as_json=False)

    with progress_bar(terminal, "making trimaps", total=len(found)) as bar:
        for source in found:
            try:
                facts = make_trimap(source)
            except Exception as error:  # a bug must not cost the other masks their trimaps
                counts["failed"] += 1
                terminal.fail(MatteError(printable(_reason(source, error))), cause=error)
            else:
                counts["there already" if facts is None else "done"] += 1
                if as_json and facts is not None:
                    terminal.data(json.dumps(facts) + "\n")
            bar.advance(note=f"{counts['failed']} failed" if counts["failed"] else "")
    again = " (--overwrite makes them again)" if counts["there already"] else ""
    terminal.say(f"{counts['done']} done, {counts['there already']} there already{again}, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


def _reason(source: _Source, error: Exception) -> str:
    """What is said of a mask or photo without a trimap."""
    from mattecli.work.outcome import Failed, Job

    path = str(source.path)
    return Failed.of(Job(str(source.name), path, path, {}), error).reason


def _checked(masks: str, out: Path | None, files: TrimapFiles) -> Path:
    """The folder for the trimaps. Raises UsageError or InputError for files and folders that do not go together."""
    from mattecli.system.files import is_folder

    if out is None:
        raise UsageError(f"{masks} is a folder; name a second folder for the trimaps")
    if not is_folder(masks):
        raise UsageError(f"{masks} is not a folder, and {out} would be one for many trimaps; name the trimap with -o")
    if files.output is not None or files.preview is not None:
        raise UsageError("-o and --preview name one file each; leave them out for a folder")
    inside = Path(masks).resolve()
    if out.resolve() == inside or inside in out.resolve().parents:
        raise InputError(f"{out} lies in {masks}, so that the next run would take trimaps for pictures; name another")
    return out


def _places(masks: str, files: TrimapFiles) -> dict[str, Partners]:
    """Where the photos, core and garbage masks of the masks are. Raises InputError where there is no such folder."""
    from mattecli.batch.partners import CORE, GARBAGE, Partners

    places = (
        ("image", files.image, "photo", "", "--photo"),
        ("core", files.core, "core mask", CORE, "--core"),
        ("garbage", files.garbage, "garbage mask", GARBAGE, "--garbage"),
    )
    return {
        key: Partners(where, what=what, ending=ending, option=option, photos=masks)
        for key, where, what, ending, option in places
        if where
    }


def _sources(folder: Path, places: Mapping[str, Partners], terminal: Terminal, *, of_masks: bool) -> list[_Source]:
    """The masks or photos of a folder, by the rules of a batch; files that are left out are named.

    Raises InputError where there are none, and where a core or garbage folder has nothing for any of them.
    """
    from mattecli.batch.jobs import resolver
    from mattecli.batch.pictures import walk
    from mattecli.imaging.products import is_saved
    from mattecli.system.folders import natural

    foreign: list[str] = []
    real = resolver()
    found: list[_Source] = []
    unlisted: set[str] = set()  # places of partners,
    faults: dict[PurePosixPath, str] = {}  # and why the sources that may have one there fail
    listing = sorted(walk(folder, foreign, recursive=True), key=lambda entry: natural(entry[0]))
    for text, path, wrong in listing:
        name = PurePosixPath(text)
        if wrong is None and any(place.hold(path) for place in places.values()):
            continue
        stem = name.stem.removesuffix("_mask") if of_masks else name.stem
        plain = str(name.with_name(stem + name.suffix))
        partners: dict[str, list[str]] = {key: [] for key in places}
        for key, place in places.items():
            try:
                partners[key] = [file for file in place.find(plain) if real(file) != real(str(path))]
            except InputError as error:  # a folder that cannot be listed
                unlisted.add(key)
                faults.setdefault(name, str(error))
        found.append(_Source(name, path, stem, wrong, partners))
    taken = {real(file) for source in found for files in source.partners.values() for file in files}
    found = [source for source in found if source.wrong is not None or real(str(source.path)) not in taken]
    stems = {str(PurePosixPath(text).with_suffix("")) for text, _, wrong in listing if wrong is None}
    saved = {
        source.name: str(source.path)
        for source in found
        if not of_masks and source.wrong is None and is_saved(str(source.name.with_suffix("")), stems)
    }
    found = [source for source in found if source.name not in saved]
    if not found:
        raise InputError(f"{folder} holds no pictures; check the folder")
    what = "mask" if of_masks else "photo"
    for key, place in places.items():
        if key != "image" and key not in unlisted and not any(source.partners[key] for source in found):
            raise InputError(place.lacking(f"{what} in {folder}"))
    used = taken | {real(str(source.path)) for source in found}
    strays = {f"{place.what}s": place.unused(used, real) for key, place in places.items() if key != "image"}
    warn_of_left_out(terminal, foreign, strays, of=what, saved=list(saved.values()))
    return [replace(source, wrong=source.wrong or faults.get(source.name)) for source in found]


def _chosen(source: _Source, files: TrimapFiles) -> dict[str, str | None]:
    """The photo, core and garbage mask of a mask. Raises InputError where a photo is missing, or one is twice there."""
    for key, found in source.partners.items():
        if len(found) > 1 or (key == "image" and not found):
            where = getattr(files, key)
            fact = f"several pictures of its name in {where}" if found else f"no photo in {where}"
            raise InputError(f"{source.name} has {fact}; keep one of that name there")
    return {key: found[0] if found else None for key, found in source.partners.items()}
