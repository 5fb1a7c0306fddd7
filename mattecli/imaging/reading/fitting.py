"""The profile for the RGB that is made of a picture."""

from __future__ import annotations

import dataclasses

from mattecli.imaging.colour.icc import grey_as_rgb
from mattecli.imaging.space import ColourTags


def fitting(tags: ColourTags, *, grey: bool) -> tuple[ColourTags, tuple[str, ...]]:
    """The tags with the profile that fits the RGB that is made of a picture, and a note where there is none."""
    icc = tags.icc
    if icc is None or icc[16:20] == b"RGB ":  # an RGB profile fits grey too: equal values mean a tone in it
        return tags, ()
    xyz = icc[16:20] == b"GRAY" and icc[20:24] == b"XYZ "  # curves to Lab give L*, which is not light
    profile = grey_as_rgb(icc) if grey and xyz else None
    notes = () if profile else ("its colour profile does not fit its pixels and is ignored",)
    return dataclasses.replace(tags, icc=profile), notes
