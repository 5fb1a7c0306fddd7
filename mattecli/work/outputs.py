"""How the outputs of jobs are made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from mattecli.compositing.colours import ColourOptions
from mattecli.compositing.costs import Costs
from mattecli.compositing.delivery import KEEP
from mattecli.compositing.finishing import Finishing
from mattecli.compositing.outputs import check_memory
from mattecli.compositing.rendition import Rendition
from mattecli.imaging.choices import Bits, Colour, Fit, Kind
from mattecli.imaging.image import Image
from mattecli.imaging.options import Depth, WriteOptions
from mattecli.work.outcome import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHT_BITS = {".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp"}  # files that hold 8 bits at most
_FLOATS = {".exr", ".npy"}  # files that hold floats whatever is asked for


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How outputs are made.

    `bits` is the depth of the alpha. `fit` says how a background picture is brought to the photo's size, and `around`
    is the colour that `contain` leaves around it. `linear` estimates colours and mixes composites in linear light.
    `colours` says what else is done to colours. `output_space` is the colour space of the other outputs: keep (the
    photo's own), srgb, p3, or the file of an ICC profile. `depths` are those that formats of outputs settle; `files`
    says how files are written. `renditions` are outputs under names of their own; every other output's name is its
    kind. `finishing` is what is done to the matte first; the alpha that the network gives does not depend on it.
    """

    bits: Bits = 8
    fit: Fit = "cover"
    around: Colour | None = None
    linear: bool = False
    colours: ColourOptions = field(default_factory=ColourOptions)
    output_space: str = KEEP
    depths: Mapping[str, Depth] = field(default_factory=dict)
    files: WriteOptions = field(default_factory=WriteOptions)
    renditions: Mapping[str, Rendition] = field(default_factory=dict)
    finishing: Finishing = field(default_factory=Finishing)

    def kind(self, output: str) -> Kind:
        """The kind of an output."""
        made = self.renditions.get(output)
        return cast(Kind, output) if made is None else made.kind

    def alpha_bits(self, output: str = "alpha") -> Depth:
        """The depth of an alpha."""
        made = self.renditions.get(output)
        return self.depths.get(output, self.bits) if made is None else made.bits or self.bits

    def check_photo(self, photo: Image, outputs: Iterable[str], subject: NDArray[Any] | None = None) -> None:
        """What can be refused of these outputs once the photo is known; call it before the network runs.

        `subject`, (H, W), is 0 where there is none for certain: a trimap or an alpha.
        Raises DeviceError where the memory is too small for them, and UsageError for lengths that are too long for it.
        """
        self.finishing.edge_lengths(photo.pixels.shape[:2])
        share = 1.0
        if self.finishing.edges and subject is not None:
            from mattecli.compositing.edges import share_looked_at

            share = share_looked_at(subject, self.finishing)
        names = list(outputs)
        pictures = [name for name in names if self.kind(name) != "alpha"]
        deep = any(self.write_options(name).bits in (16, "float") for name in pictures)
        costs = Costs(
            finishing=self.finishing,
            colours=self.colours,
            linear=self.linear,
            depth=max(photo.depth, 16 if deep else 8),
            share=share,
        )
        check_memory(photo, costs, pictures=bool(pictures))

    def show_8_bits(self, job: Job) -> bool:
        """Whether none of the job's outputs can show more than 8 bits. By default pictures keep their photo's depth."""
        for name, output in job.outputs.items():
            kind = self.kind(name)
            depth = self.alpha_bits(name) if kind == "alpha" else self.write_options(name).bits
            eight = depth == 8 or (depth is None and not {*map(_suffix, (output, job.image))}.isdisjoint(_EIGHT_BITS))
            if not eight or _suffix(output) in _FLOATS:
                return False
        return True

    def write_options(self, output: str) -> WriteOptions:
        """How the file of an output other than an alpha is written."""
        made = self.renditions.get(output)
        if made is None:
            return replace(self.files, bits=self.depths.get(output))
        return replace(self.files, bits=made.bits, quality=made.quality or self.files.quality)

    def space(self, output: str) -> str:
        """The colour space of an output."""
        made = self.renditions.get(output)
        return self.output_space if made is None else made.output_space or self.output_space


def _suffix(file: str) -> str:
    return os.path.splitext(file)[1].lower()
