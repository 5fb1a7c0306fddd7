"""The memory that outputs of a photo will take.

The figures are bytes per pixel, counted from the arrays that live at once and rounded up from what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mattecli.compositing.colours import PLAIN, ColourOptions
from mattecli.compositing.finishing import Finishing, is_length
from mattecli.imaging.image import Image

_CLEANED, _FILLED, _MOVED, _MOVED_TWICE = 9, 20, 50, 65  # specks or levels, holes, one step of edges, several
_SUBJECT, _KEPT, _MADE = 34, 40, 34  # finding the subject, and shadows
_PLANE, _COLOURS = 4, 12
_ESTIMATE, _IN_LIGHT, _CHOKED, _DESPILLED, _GROWN, _SHARPENED = 19, 12, 8, 62, 49, 24


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What is done to the outputs of a photo.

    `depth` is the greatest of their depths, and at least the photo's. `share` is the part of the photo, from 0 to 1,
    that moving edges looks at; see `edges.share_looked_at`.
    """

    finishing: Finishing = field(default_factory=Finishing)
    colours: ColourOptions = PLAIN
    linear: bool = False
    depth: int = 8
    share: float = 1.0

    def of_finishing(self, photo: Image) -> float:
        """The bytes that finishing the matte takes at its peak."""
        options, size = self.finishing, self._enlarged(photo)
        if not options.asked:
            return 0
        held = _PLANE * options.edges
        light = _PLANE * (options.shadow is not None)
        peaks = [
            self._edges(),
            held + _KEPT * (options.shadow == "keep"),
            held + _SUBJECT * (bool(options.crop or options.canvas) or options.rotate != 0),
            held + light + size * (_PLANE + light + _MADE * (options.shadow in ("contact", "drop"))),
        ]
        return max(peaks) * _pixels(photo)

    def of_pictures(self, photo: Image) -> float:
        """The bytes that finishing and pictures, one after the other, take at their peak."""
        options, size = self.finishing, self._enlarged(photo)
        held = _PLANE * options.edges + size * _PLANE * (options.asked + (options.shadow is not None))
        grown = is_length(options.spread) or options.feather_both
        again = size * (_COLOURS + _SHARPENED * (options.sharpen > 0)) if options.placed else _COLOURS * grown
        value = max(photo.pixels.itemsize, 2 if self.depth == 16 else 1)
        peaks = [
            held + self._estimate(),
            held + _COLOURS + _GROWN * grown,
            held + _COLOURS + again + size * 8 * value,  # the background and the result beside them
        ]
        return max(self.of_finishing(photo), max(peaks) * _pixels(photo))

    def _edges(self) -> float:
        options = self.finishing
        steps = [is_length(one) for one in (options.smooth, options.choke, options.spread, options.feather)]
        if any(steps) or options.hair < 100:
            moved = _MOVED if sum(steps) < 2 and not options.feather_both else _MOVED_TWICE
            return _CLEANED + self.share * (moved - _CLEANED)
        return _FILLED if options.fill_holes else _CLEANED * options.edges

    def _estimate(self) -> int:
        if self.colours.decontaminate == 0:
            plain = _COLOURS
        else:
            plain = _ESTIMATE + _IN_LIGHT * self.linear + _CHOKED * (self.colours.choke > 0)
        return plain if self.colours.despill is None else max(plain, _DESPILLED)

    def _enlarged(self, photo: Image) -> float:
        """How many times as many pixels as the photo the output has; at most, where that depends on the matte."""
        if self.finishing.canvas is not None:
            return self.finishing.canvas[0] * self.finishing.canvas[1] / _pixels(photo)
        larger = (self.finishing.scale or 1.0) ** 2
        return larger if self.finishing.crop is None else min(larger, 1.0)  # of the subject, whose size is not known


def _pixels(photo: Image) -> int:
    return photo.size[0] * photo.size[1]
