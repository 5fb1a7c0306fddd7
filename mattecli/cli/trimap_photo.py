"""`matte trimap` from a photo, without a mask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattecli.cli.subject import SubjectOptions
from mattecli.cli.terminal import Terminal
from mattecli.cli.wording import as_options
from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.cli.trimap import TrimapFiles
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import ReadOptions
    from mattecli.inference.backend import Backend
    from mattecli.inference.model import Model
    from mattecli.trimaps.recipe import MaskRecipe
    from mattecli.work.making import Making


def make_from_photo(
    photo: str,
    files: TrimapFiles,
    terminal: Terminal,
    *,
    base: str,
    subject: SubjectOptions,
    recipe: MaskRecipe,
    model: Model,
    reading: ReadOptions,
    overwrite: bool,
    as_json: bool,
) -> dict[str, Any]:
    """Make the trimap of a photo from what `base` names, write it and report it; gives the fields of `--json`.

    Raises UsageError and InputError, and what `Model.predict` and `open_model` raise.
    """
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.read import read_image
    from mattecli.imaging.reading.open import label
    from mattecli.imaging.view import network_view
    from mattecli.imaging.write import write_image
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.make import overlay
    from mattecli.work.job import backend_facts

    target = check_files(photo, files, subject, overwrite=overwrite, as_json=as_json)
    findings: list[str] = []
    picture = read_image(photo, options=reading)
    view = network_view(picture)
    making = subject.making(base, recipe=recipe, core=files.core, garbage=files.garbage)
    ran: dict[str, Any] = dict.fromkeys(("device", "backend", "precision", "weights"))  # the network, where it runs

    def on_load(backend: Backend) -> None:
        ran.update(backend_facts(backend))
        terminal.say_device(backend.device, auto=model.options.device == "auto")

    find = subject.finder(base, label(photo), terminal, reading=reading, on_load=on_load)
    found = None if find is None else find(picture, model)
    made = _made(making, picture, view, label(photo), terminal, reading, found=found, findings=findings)
    trimap = Image(made, resolution=picture.resolution, metadata=picture.metadata.geometry)
    write_image(target, trimap, overwrite=overwrite)
    if files.preview is not None:
        write_image(files.preview, Image(overlay(to_depth(view, 8), made)), overwrite=overwrite)
    (height, width), parts = made.shape, shares(made)
    terminal.say(
        f"{'standard output' if target == '-' else target}: {width}×{height}, {parts['foreground']:.1%} foreground, "
        f"{parts['unknown']:.1%} unknown, {parts['background']:.1%} background"
    )
    facts: dict[str, Any] = {"mask": None, "image": photo, "output": target, "preview": files.preview}
    facts |= {"width": width, "height": height, **parts}
    facts |= {"key": subject.key, "findings": [as_options(finding) for finding in findings]}
    return facts | {"scribbles": subject.scribbles, "box": subject.box, "auto": subject.model, **ran}


def check_files(photo: str, files: TrimapFiles, subject: SubjectOptions, *, overwrite: bool, as_json: bool) -> str:
    """The trimap's file. Raises UsageError and InputError for files that are not there, or cannot be written."""
    from mattecli.imaging.reading.open import check_source
    from mattecli.imaging.write import check_output

    target = _target(photo, files, as_json=as_json)
    inputs = [name for name in (photo, files.core, files.garbage, subject.scribbles) if name is not None]
    for source in inputs:
        check_source(source)
    for written in [target] if files.preview is None else [target, files.preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    return target


def _made(
    making: Making,
    photo: Image,
    view: NDArray[Any],
    name: str,
    terminal: Terminal,
    reading: ReadOptions,
    *,
    found: NDArray[np.uint8] | None,
    findings: list[str],
) -> NDArray[np.uint8]:
    """The trimap of a photo; `found` is that of strokes or a box. What is noticed is said and added to `findings`."""

    def on_fact(fact: str) -> None:
        findings.append(fact)
        terminal.say(fact)

    def on_note(note: str) -> None:
        findings.append(note)
        terminal.warn(note)

    trimap = found
    if trimap is None:
        trimap = making.make(photo, view, name=name, reading=reading, on_note=on_note, on_fact=on_fact)
    if making.of_mask:
        return trimap
    return making.overrule(trimap, photo, name=name, photo_name=name, reading=reading, on_note=on_note)


def _target(photo: str, files: TrimapFiles, *, as_json: bool) -> str:
    """The trimap's file. Raises UsageError for names that do not go together."""
    from mattecli.system.files import same_file

    output, preview = files.output, files.preview
    if output is None and photo == "-":
        raise UsageError("the photo comes from standard input and gives the trimap no name; name a file with -o")
    if output == "-" and as_json:
        raise UsageError("-o - and --json both write to standard output; name a file with -o")
    target = output or str(Path(photo).with_name(f"{Path(photo).stem}_trimap.png"))
    if preview == "-" or (preview is not None and same_file(preview, target)):
        raise UsageError(f"--preview {preview} needs a file of its own")
    return target
