"""`matte trimap --check`: what is wrong with a trimap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mattecli.cli.exit_codes import exit_code
from mattecli.cli.targets import check_streams
from mattecli.cli.wording import as_options
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.cli.terminal import Terminal
    from mattecli.cli.trimap import TrimapFiles
    from mattecli.imaging.options import ReadOptions


def check_file(
    trimap: str,
    files: TrimapFiles,
    terminal: Terminal,
    *,
    reading: ReadOptions,
    snap: int,
    idle: Sequence[str],
    as_json: bool,
) -> int:
    """Print what is wrong with a trimap; gives the exit code: 3 if it cannot be matted, else 0.

    `idle` are the options that were given and would do nothing. Raises UsageError for any.
    """
    from mattecli.trimaps.lint import check_trimap

    beside = {"-o": files.output, "--mask": files.mask_file, "--core": files.core, "--garbage": files.garbage}
    given = [name for name, value in {**beside, "--preview": files.preview}.items() if value is not None]
    given += idle
    if given:
        raise UsageError(f"--check only reads a trimap; leave {' and '.join(given)} out")
    check_streams([trimap, files.image], (), as_json=False, ask="name a file for the trimap or for the photo")
    found = check_trimap(trimap, photo=files.image, snap=snap, reading=reading)
    refused = any(finding.refused for finding in found)
    for finding in found:
        if finding.refused:
            terminal.fail(InputError(str(finding)))
        else:
            terminal.warn(str(finding))
    if not found:
        terminal.say(f"{trimap}: nothing is wrong" + ("" if files.image else "; --photo checks its place too"))
    if as_json:
        findings = [
            {
                "kind": one.kind,
                "message": as_options(one.message),
                "command": as_options(one.command),
                "refused": one.refused,
            }
            for one in found
        ]
        facts = {"trimap": trimap, "image": files.image, "findings": findings}
        terminal.data(json.dumps(facts) + "\n")
    return exit_code(InputError("")) if refused else 0
