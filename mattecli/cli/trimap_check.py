"""`matte trimap --check`: what is wrong with a trimap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mattecli.cli.exit_codes import exit_code
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.cli.terminal import Terminal
    from mattecli.cli.trimap import TrimapFiles


def check_file(trimap: str, files: TrimapFiles, terminal: Terminal, *, as_json: bool) -> int:
    """Print what is wrong with a trimap; gives the exit code: 3 if it cannot be matted, else 0."""
    from mattecli.trimaps.lint import check_trimap

    beside = {"-o": files.output, "--mask": files.mask_file, "--core": files.core, "--garbage": files.garbage}
    given = [name for name, value in {**beside, "--preview": files.preview}.items() if value is not None]
    if given:
        raise UsageError(f"--check only reads a trimap; leave {' and '.join(given)} out")
    found = check_trimap(trimap, photo=files.image)
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
            {"kind": one.kind, "message": one.message, "command": one.command, "refused": one.refused} for one in found
        ]
        facts = {"trimap": trimap, "image": files.image, "findings": findings}
        terminal.data(json.dumps(facts) + "\n")
    return exit_code(InputError("")) if refused else 0
