"""`matte trimap` from a photo with a green or blue screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.terminal import Terminal
from mattecli.cli.wording import as_options
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.cli.trimap import TrimapFiles

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="auto|COLOUR",
        help="The first argument is a photo in front of a screen: auto (search for a green or blue one), green, blue, "
        "or its colour, such as '#00b140'.",
    ),
]


def key_file(photo: str, key: str, files: TrimapFiles, terminal: Terminal, *, overwrite: bool, as_json: bool) -> None:
    """Make the trimap of a photo, write it and report it. Raises UsageError and InputError."""
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.write import check_output, write_image
    from mattecli.system.files import same_file
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.make import overlay, with_certain
    from mattecli.trimaps.sources import parse_key, read_keyed

    output, preview = files.output, files.preview
    if output is None and photo == "-":
        raise UsageError("the photo comes from standard input and gives the trimap no name; name a file with -o")
    if output == "-" and as_json:
        raise UsageError("-o - and --json both write to standard output; name a file with -o")
    target = output or str(Path(photo).with_name(f"{Path(photo).stem}_trimap.png"))
    if preview == "-" or (preview is not None and same_file(preview, target)):
        raise UsageError(f"--preview {preview} needs a file of its own")
    parse_key(key)
    inputs = [name for name in (photo, files.core, files.garbage) if name is not None]
    for written in [target] if preview is None else [target, preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    keyed = read_keyed(photo, key=key)
    made = with_certain(keyed.trimap, core=files.core, garbage=files.garbage, name=photo, on_note=terminal.warn)
    write_image(target, Image(made), overwrite=overwrite)
    if preview is not None:
        shown = Image(overlay(to_depth(keyed.view, 8), made))
        write_image(preview, shown, overwrite=overwrite)
    terminal.say(keyed.findings[0])
    for finding in keyed.findings[1:]:
        terminal.warn(finding)
    (width, height), parts = keyed.photo.size, shares(made)
    terminal.say(
        f"{'standard output' if target == '-' else target}: {width}×{height}, {parts['foreground']:.1%} foreground, "
        f"{parts['unknown']:.1%} unknown, {parts['background']:.1%} background"
    )
    if not as_json:
        return
    findings = [as_options(finding) for finding in keyed.findings]
    names = {"mask": None, "image": photo, "output": target, "preview": preview}
    facts = {**names, "width": width, "height": height, **parts, "key": key, "findings": findings}
    terminal.data(json.dumps(facts) + "\n")
