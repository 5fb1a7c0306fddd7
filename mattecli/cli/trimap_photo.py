"""`matte trimap` from a photo: its screen, strokes or a box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattecli.cli.subject import SubjectOptions, find_trimap
from mattecli.cli.terminal import Terminal
from mattecli.cli.wording import as_options
from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.cli.options import ModelOptions
    from mattecli.cli.trimap import TrimapFiles


def make_from_photo(
    photo: str,
    files: TrimapFiles,
    terminal: Terminal,
    *,
    subject: SubjectOptions,
    model: ModelOptions,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make the trimap of a photo by its screen, or by strokes and a box; write it and report it.

    Raises UsageError and InputError, and what `Model.predict` raises.
    """
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.write import check_output, write_image
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.make import overlay, with_certain

    subject.check()
    target = _target(photo, files, as_json=as_json)
    inputs = [name for name in (photo, files.core, files.garbage, subject.scribbles) if name is not None]
    for written in [target] if files.preview is None else [target, files.preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    view, trimap, findings = _found(photo, subject, model, terminal)
    made = with_certain(trimap, core=files.core, garbage=files.garbage, name=photo, on_note=terminal.warn)
    write_image(target, Image(made), overwrite=overwrite)
    if files.preview is not None:
        write_image(files.preview, Image(overlay(to_depth(view, 8), made)), overwrite=overwrite)
    for finding in findings[:1]:
        terminal.say(finding)
    for finding in findings[1:]:
        terminal.warn(finding)
    (height, width), parts = made.shape, shares(made)
    terminal.say(
        f"{'standard output' if target == '-' else target}: {width}×{height}, {parts['foreground']:.1%} foreground, "
        f"{parts['unknown']:.1%} unknown, {parts['background']:.1%} background"
    )
    if not as_json:
        return
    facts: dict[str, Any] = {"mask": None, "image": photo, "output": target, "preview": files.preview}
    facts |= {"width": width, "height": height, **parts}
    facts |= {"key": subject.key, "findings": [as_options(finding) for finding in findings]}
    terminal.data(json.dumps(facts | {"scribbles": subject.scribbles, "box": subject.box}) + "\n")


def _found(
    photo: str, subject: SubjectOptions, model: ModelOptions, terminal: Terminal
) -> tuple[NDArray[Any], NDArray[np.uint8], tuple[str, ...]]:
    """The photo in sRGB, its trimap, and what the user should know of it."""
    from mattecli.imaging.read import read_image
    from mattecli.imaging.view import network_view
    from mattecli.inference.model import Model

    picture = read_image(photo)
    name = "standard input" if photo == "-" else photo
    network = None if subject.key is not None else Model(model.run_options())
    trimap, findings = find_trimap(picture, network, subject, name=name, terminal=terminal)
    return network_view(picture), trimap, findings


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
