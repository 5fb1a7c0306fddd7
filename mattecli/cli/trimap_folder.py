"""`matte trimap MASKS/ OUT/`: the trimaps of a folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattecli.cli.progress import progress_bar
from mattecli.cli.terminal import printable
from mattecli.errors import InputError, MatteError, UsageError

if TYPE_CHECKING:
    from mattecli.cli.terminal import Terminal
    from mattecli.cli.trimap import Make, TrimapFiles


def make_folder_of_trimaps(
    masks: str,
    out: Path | None,
    files: TrimapFiles,
    make: Make,
    terminal: Terminal,
    *,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Make `OUT/NAME_trimap.png` of each mask or photo; gives the exit code: 1 if one failed, else 0.

    A trimap that is there already is left as it is, so that a second run goes on where the first one stopped;
    `overwrite` makes it again. With folders for photo, core and garbage, the files of the mask's name are taken.
    """
    out = _checked(masks, out, files)
    found = sorted(_masks(Path(masks)), key=lambda path: str(path))
    if not found:
        raise InputError(f"{masks} holds no pictures; check the folder")
    partner = _partners(files)
    makers: dict[str, Path] = {}  # by the trimap's name; not every disk tells capitals apart
    counts = {"done": 0, "there already": 0, "failed": 0}
    with progress_bar(terminal, "making trimaps", total=len(found)) as bar:
        for mask in found:
            name = mask.relative_to(masks)
            target = out / name.parent / f"{name.stem.removesuffix('_mask')}_trimap.png"
            if (first := makers.setdefault(str(target).casefold(), mask)) != mask:
                counts["failed"] += 1
                terminal.fail(InputError(printable(f"{mask} and {first} would both give {target}; keep one of them")))
            elif target.exists() and not overwrite:
                counts["there already"] += 1
            else:
                try:
                    one = dataclasses.replace(files, output=str(target), **partner(name))
                    _make(str(mask), one, make, terminal, as_json=as_json)
                    counts["done"] += 1
                except MatteError as error:
                    counts["failed"] += 1
                    terminal.fail(MatteError(printable(str(error))))
            bar.advance(note=f"{counts['failed']} failed" if counts["failed"] else "")
    terminal.say(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] else 0


def _checked(masks: str, out: Path | None, files: TrimapFiles) -> Path:
    """The folder for the trimaps. Raises UsageError or InputError for files and folders that do not go together."""
    if out is None:
        raise UsageError(f"{masks} is a folder; name a second folder for the trimaps")
    if not Path(masks).is_dir():
        raise UsageError(f"{masks} is not a folder, and {out} would be one for many trimaps; name the trimap with -o")
    if files.output is not None or files.preview is not None:
        raise UsageError("-o and --preview name one file each; leave them out for a folder")
    inside = Path(masks).resolve()
    if out.resolve() == inside or inside in out.resolve().parents:
        raise InputError(f"{out} lies in {masks}, so that the next run would take trimaps for pictures; name another")
    return out


def _masks(folder: Path) -> Iterator[Path]:
    from mattecli.imaging.image import SUFFIXES

    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path


def _partners(files: TrimapFiles) -> Any:
    """What gives for a mask's name its photo, core and garbage mask. A mask must have a photo if photos are given."""
    from mattecli.batch.pairing import finder

    places = (
        ("image", files.image, "", "--photo"),
        ("core", files.core, "_core", "--core"),
        ("garbage", files.garbage, "_garbage", "--garbage"),
    )
    finders = {key: (finder(where, ending, option), where) for key, where, ending, option in places if where}

    def partner(name: Path) -> dict[str, str | None]:
        plain = name.with_name(name.stem.removesuffix("_mask") + name.suffix).as_posix()
        chosen: dict[str, str | None] = {}
        for key, (find, where) in finders.items():
            found = list(dict.fromkeys(find(plain)))
            if len(found) > 1 or (key == "image" and not found):
                fact = f"several pictures of its name in {where}" if found else f"no photo in {where}"
                raise InputError(f"{name} has {fact}; keep one of that name there")
            chosen[key] = found[0] if found else None
        return chosen

    return partner


def _make(mask: str, files: TrimapFiles, make: Make, terminal: Terminal, *, as_json: bool) -> None:
    from mattecli.system.files import make_folder

    make_folder(Path(str(files.output)).parent)
    facts = make(mask, files, terminal, overwrite=True, as_json=False)
    if as_json:
        terminal.data(json.dumps(facts) + "\n")
