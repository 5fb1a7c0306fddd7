"""The colour space an output is made and delivered in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mattecli.errors import InputError
from mattecli.imaging.colour import chromaticities, is_hdr, is_linear, is_log, linear, same_space, space, space_named
from mattecli.imaging.colour.encodings import TableEncoding, encoding_of
from mattecli.imaging.colour.icc import REC2020
from mattecli.imaging.colour.lcms import usable
from mattecli.imaging.image import Image, in_space
from mattecli.imaging.options import Depth
from mattecli.imaging.pixels import beyond_white
from mattecli.imaging.space import SRGB, Space
from mattecli.imaging.writing.encoding import Format
from mattecli.system.files import content_digest

KEEP = "keep"
_LIGHT = ("EXR", "OpenEXR")  # formats whose colours are light by convention


@dataclass(frozen=True)
class Delivery:
    """The spaces of one output: colours are estimated and mixed in `working`, and written in `final` with `depth` bits.

    `note` is what the user should know.
    """

    working: Space
    final: Space
    depth: int
    note: str | None = None

    @property
    def working_depth(self) -> int:
        """The depth in which the output is made; what is converted afterwards is made in floats."""
        return self.depth if self.working == self.final else 32

    def prepared(self, photo: Image) -> Image:
        """The photo in the working space; the same object where nothing changes.

        A photo of 8 bits keeps them there, because its values are the same with 16. What is made of it has the
        `working_depth` and is rounded to that alone.
        """
        return photo if self._keeps(photo) else in_space(photo, self.working, depth=self.working_depth)

    def estimate(self, photo: Image) -> tuple[Space, int]:
        """The space and the depth of the `prepared` photo: where they are the same, one estimate of colours serves."""
        return (photo.space, photo.depth) if self._keeps(photo) else (self.working, self.working_depth)

    def _keeps(self, photo: Image) -> bool:
        enough = photo.depth == self.working_depth or (photo.depth, self.working_depth) == (8, 16)
        return enough and same_space(photo.space, self.working)


def deliver(photo: Image, form: Format, *, output_space: str = KEEP, bits: Depth | None = None) -> Delivery:
    """How an output of this photo is made for a file of this format.

    `output_space` is keep, srgb, p3, another name of a space, or the file of an ICC profile. `bits` is the depth that
    the file is asked to have; one of more than 8 is made with 16 from a photo of 8, too. OpenEXR holds light. PQ and
    HLG are mixed in light, and go back only into PNG of 16 bits. Files of integers end at white: they get sRGB instead
    of light, where all above white is white. They get sRGB instead of a space that no profile states, too; only the
    values of a log stay (see `is_log`). Raises InputError for a profile that cannot be used, and UsageError for an
    unknown name.
    """
    own = photo.space
    wanted = own if output_space == KEEP else read_space(output_space, depth=photo.depth)
    if form.name in _LIGHT:
        light = _light_of(wanted)
        return Delivery(light, light, 32)
    ends_at_white = 32 not in form.depths or bits in form.depths  # 8 or 16 asked for
    holder = f"{form.name} of integers" if 32 in form.depths else form.name
    depth = 16 if photo.depth == 32 and ends_at_white else photo.depth  # 8 only when the file is written
    if depth == 8 and bits in (16, "float"):
        depth = 16
    note = None
    if is_hdr(wanted):
        if form.name == "PNG" and depth == 16 and bits != 8:
            return Delivery(linear(REC2020), wanted, depth)
        what = "PNG of 8 bits" if form.name == "PNG" and bits == 8 else form.name
        note = f"{what} cannot hold PQ or HLG"
    elif photo.depth == 32 and ends_at_white and not is_log(wanted) and _is_light(photo, wanted):
        note = f"{holder} ends at white"
    elif form.name == "BMP" and not same_space(wanted, SRGB):
        note = "BMP has no colour profile"
    elif wanted.name is not None and form.profile and (photo.depth != 32 or ends_at_white):
        note = f"no profile states {wanted.name}"
        if is_log(wanted):
            if bits == "float" and not ends_at_white:  # the writer converts it
                return Delivery(wanted, wanted, depth, f"{note}, so {form.name} of floats holds light")
            return Delivery(wanted, wanted, depth, f"{note}, so {holder} keeps its values without one")
    if note is not None:
        return Delivery(SRGB, SRGB, depth, f"{note}, so the colours are converted to sRGB")
    return Delivery(wanted, wanted, depth)


def _is_light(photo: Image, wanted: Space) -> bool:
    """Whether a photo of floats has more in this space than files of integers with its profile would hold."""
    return is_linear(wanted) or (wanted == photo.space != SRGB and beyond_white(photo.pixels))


def space_word(text: str) -> str:
    """What tells an output space from others: its name, or the content of a profile's file. Raises InputError."""
    return f"profile {content_digest(text)}" if _is_profile(text) else text


def rooted_space(text: str) -> str:
    """The space with the absolute path of its profile, if it is one."""
    return str(Path(text).absolute()) if _is_profile(text) else text


def _is_profile(text: str) -> bool:
    return Path(text).suffix.lower() in (".icc", ".icm")


def read_space(text: str, *, depth: int = 8) -> Space:
    """The space that `--output-space` names: a name, or the file of an RGB profile.

    Raises InputError for a file that is not such a profile, or whose tables do not fit that many bits per channel, and
    UsageError for an unknown name.
    """
    if not _is_profile(text):
        return space_named(text)
    try:
        icc = Path(text).read_bytes()
    except OSError as error:
        raise InputError(f"{text} cannot be read ({error.strerror}); name the file of an ICC profile") from error
    if space(icc) != b"RGB " or not usable(icc):
        raise InputError(f"{text} is not an ICC profile of RGB pictures; name another, or srgb, p3, keep")
    if depth > 8 and isinstance(encoding_of(Space(icc)), TableEncoding):
        raise InputError(
            f"{text} is a profile of tables, which are converted with 8 bits only; name a profile of matrix and curves "
            "for deeper pictures, or srgb, p3"
        )
    return Space(icc)


def _light_of(space: Space) -> Space:
    """Light with the primaries of a space, or with those of sRGB where they are not known."""
    if is_hdr(space):
        return linear(REC2020)
    if is_linear(space):
        return space
    primaries = chromaticities(space)
    return linear() if primaries is None else linear(primaries)
