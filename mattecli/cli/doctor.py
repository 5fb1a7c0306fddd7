"""`matte doctor`: checks this installation and reports what is wrong."""

from __future__ import annotations

import dataclasses
import json

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Quiet


def doctor(quiet: Quiet = False, as_json: Json = False, debug: Debug = False) -> None:
    """Show versions, devices, providers, weights and free memory, and time a matte; exit code 1 if anything is wrong.

    With `--quiet` it shows only what is wrong.

    Example: matte doctor
    """
    from mattecli.cli.examine import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json and (not terminal.quiet or finding.verdict == "problem"):
            mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[finding.verdict]
            terminal.data(f"{mark} {finding.subject}: {finding.text}\n")
    if as_json:
        terminal.data(json.dumps([dataclasses.asdict(finding) for finding in findings]) + "\n")
    if any(finding.verdict == "problem" for finding in findings):
        raise typer.Exit(1)
