"""`matte doctor`: checks this installation and reports what is wrong."""

from __future__ import annotations

import dataclasses
import json

import typer

from mattecli.cli.options import Json
from mattecli.cli.terminal import Terminal

MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def doctor(*, as_json: Json = False, terminal: Terminal) -> None:
    """Show versions, devices, providers, weights and free memory, and time a matte.

    The exit code is 1 if anything is wrong. With `--quiet` it shows only what is wrong.

    Example: matte doctor
    """
    from mattecli.cli.runtime import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json and (not terminal.quiet or finding.verdict == "problem"):
            terminal.data(f"{MARKS[finding.verdict]} {finding.subject}: {finding.text}\n")
    if as_json:
        terminal.data(json.dumps([dataclasses.asdict(finding) for finding in findings]) + "\n")
    if any(finding.verdict == "problem" for finding in findings):
        raise typer.Exit(1)
