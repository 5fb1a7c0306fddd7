"""Puts the library's messages into the words of the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mattecli.work.outcome import Outcome

# The library's parameters that options set under the same name.
_PARAMETERS = (
    "at|auto_model|backend|band|bits|box|canvas|choke|contrast|core|crop|decontaminate|despill|despill_reach|"
    "despill_restore|despill_strength|device|dilate|erode|feather|feather_both|fill|fill_holes|fit|garbage|hair|high|"
    "host|input_space|key|layer|levels|linear|low|margin|max_memory|max_pixels|min_area|opset|output_space|overwrite|"
    "port|pre_post|precision|provider|resize_trimap|rotate|scale|scribbles|shadow|shadow_strength|sharpen|size|smooth|"
    "snap|solid|spread|threads|tile|token_file|weights"
)
_MENTION = re.compile(rf"`({_PARAMETERS})(?:=([^`]*))?`")


def as_options(message: str) -> str:
    """A message that names options (`--tile 100`) where the library names parameters (`` `tile=100` ``)."""
    return _MENTION.sub(_option, message.replace("`compare=False`", "--no-check"))


def outcome_in_options(outcome: Outcome) -> Outcome:
    """An outcome whose notes or reason name options, for reports and `--json`; those of folders."""
    from mattecli.work.outcome import Done, Failed

    def shown(message: str) -> str:
        return as_options(re.sub("`(core|garbage)`", r"--\1s", message))

    if isinstance(outcome, Done):
        return replace(outcome, notes=tuple(shown(note) for note in outcome.notes))
    if isinstance(outcome, Failed):
        reason = without_snap(outcome.reason) if outcome.what == "alpha" else outcome.reason
        return replace(outcome, reason=shown(reason))
    return outcome


def without_snap(message: str) -> str:
    """A message of a trimap beside an alpha, for which there is no --snap."""
    return re.sub(r" or use `snap=\d+`", "", message)


def _option(mention: re.Match[str]) -> str:
    name, value = mention.groups()
    option = "--" + name.replace("_", "-")
    return option if value in (None, "True") else f"{option} {value}"
