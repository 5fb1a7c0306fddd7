"""Makes and writes alphas, cut-outs, foregrounds and composites."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from mattecli.errors import DeviceError, InputError, UsageError
from mattecli.imaging.choices import Colour, Fit, Kind
from mattecli.imaging.options import ReadOptions, WriteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattecli.compositing.colours import ForegroundColours
    from mattecli.compositing.costs import Costs
    from mattecli.compositing.finishing import Finished
    from mattecli.imaging.image import Image
    from mattecli.imaging.metadata import Windows
    from mattecli.imaging.options import Depth
    from mattecli.imaging.writing.encoding import Format

_ROWS = 512  # of a composite in floats at a time


def make_output(
    kind: Kind,
    photo: Image,
    alpha: NDArray[Any],
    *,
    background: Image | Colour | None = None,
    fit: Fit = "cover",
    around: Colour | None = None,
    linear: bool = False,
    foreground: NDArray[Any] | None = None,
    finished: Finished | None = None,
    cutout_for: Literal["white"] | None = None,
    depth: int | None = None,
    dither: bool | None = None,
) -> Image:
    """Turn a photo and its alpha, (H, W) in [0, 1], into a picture with the photo's depth, profile and resolution.

    `depth` gives it 8, 16 or 32 (floats) bits per channel instead. `dither` says that its file has 8 bits, in which a
    made shadow would show steps; by default that is so where the picture has them.

    `alpha` gives the matte as floats (write it with `write_alpha`, which knows the depths). `foreground` gives RGB,
    `cutout` straight RGBA. `composite` puts the foreground over `background` and gives opaque RGB; a background of None
    is transparent and gives the cut-out.

    A background is a picture or a colour of sRGB. It is converted to the photo's colour space in floats, and the sum is
    rounded once. `fit` brings a picture to the photo's size; `around` is the colour that `contain` leaves around it.
    For an OpenEXR plate the size is that of its display window; beyond it the edges of the background continue. Where
    alpha is 0, the plate's glow is in the cut-out, and is added to the background of a composite.
    Colours are estimated and mixed in the values as they are, or with `linear` in linear light. `foreground`,
    (H, W, 3), are the colours to use instead of an estimate. With `finished` the output has its alpha, its shadow and
    its frame; `alpha` is then the matte before, from which the colours are estimated. With `cutout_for` a cut-out and a
    foreground have the colours of `suited`, for the alpha that is delivered. Raises DeviceError where the memory does
    not suffice for the estimate.
    """
    import numpy as np

    from mattecli.compositing import composite as compositing
    from mattecli.compositing.colours import suited
    from mattecli.compositing.foreground import estimate_foreground
    from mattecli.compositing.plates import add_glow
    from mattecli.compositing.shadows import shaded, with_shadow
    from mattecli.imaging.image import Image, to_depth

    if kind == "alpha":
        return Image(alpha if finished is None else finished.alpha, None, photo.resolution)
    if kind not in get_args(Kind):
        raise UsageError(f"{kind!r} is not a kind of output; use one of {', '.join(get_args(Kind))}")
    depth = depth or photo.depth
    photo = replace(photo, transparent=False)  # its hidden colours are used: see `photo_note`
    if foreground is None:
        check_memory(photo)
        foreground = estimate_foreground(photo, alpha, linear=linear)
    if finished is not None:
        photo, foreground = finished.framed(photo), finished.colours(foreground, photo=photo)
        alpha = finished.alpha
    if kind == "foreground":
        foreground = suited(replace(photo, pixels=foreground), alpha, cutout_for)
        return replace(photo, pixels=to_depth(foreground, depth))

    opaque = kind == "composite" and background is not None
    behind: Any = None if background is None else _behind(background, photo, alpha.shape[::-1], fit, around)
    bounded = compositing.ends_at_white(photo)
    result = np.empty((*alpha.shape, 3 if opaque else 4), to_depth(photo.pixels[:1, :1], depth).dtype)
    for top in range(0, len(alpha), _ROWS):
        rows = slice(top, top + _ROWS)
        front = replace(photo, pixels=foreground[rows], glow=None)
        light = None if finished is None else finished.light_of(rows, dither=depth == 8 if dither is None else dither)
        if opaque:
            under = replace(behind, pixels=behind.pixels[rows]) if isinstance(behind, Image) else behind
            if light is not None:
                under = shaded(under, light, front, bounded=bounded)
            strip = compositing.composited(front, alpha[rows], under, linear=linear, bounded=bounded)
        else:
            front = replace(front, pixels=suited(front, alpha[rows], cutout_for))
            strip = compositing.cutout(front, alpha[rows], foreground=front)
            if light is not None:
                strip = with_shadow(strip, light, front.space)
        if photo.glow is not None:
            add_glow(strip, photo.pixels[rows], photo.glow[rows] & (alpha[rows] == 0), photo.space)
        result[rows] = to_depth(strip, depth)
    return replace(photo, pixels=result)


def _behind(background: Image | Colour, photo: Image, size: tuple[int, ...], fit: Fit, around: Colour | None) -> Any:
    """A background as a picture of the output's size (width, height), or a colour in the photo's space."""
    import numpy as np

    from mattecli.compositing.composite import colour_in
    from mattecli.imaging.image import Image

    if isinstance(background, Image):
        return _fitted(background, photo, size, fit, around)
    return colour_in(np.array(background, np.float32), photo.space)


def _fitted(background: Image, photo: Image, size: tuple[int, ...], fit: Fit, around: Colour | None) -> Image:
    """A background of the output's size (width, height), in its own colour space; `around` is a colour of sRGB.

    What shows of an OpenEXR plate is its display window, so that is what the background is fitted to. A background of
    the same display window lies where its own data window says.
    """
    from mattecli.compositing import composite as compositing
    from mattecli.imaging.windows import from_corner, moved

    windows, own, pixels = _windows(photo), _windows(background), background.pixels
    if windows and own and own.display[2:] == windows.display[2:]:
        have, want = (from_corner(each.data, each.display) for each in (own, windows))
        return replace(background, pixels=moved(pixels, have, want))
    if background.size == size:
        return background
    if own:
        pixels = moved(pixels, own.data, own.display)
    width, height = windows.display[2:] if windows else size
    shown = compositing.fit_background(replace(background, pixels=pixels), width, height, fit=fit, around=around)
    return replace(shown, pixels=moved(shown.pixels, windows.display, windows.data)) if windows else shown


def _windows(picture: Image) -> Windows | None:
    """The windows of an OpenEXR picture, as far as its pixels still are those of the data window."""
    windows = picture.metadata.windows
    return windows if windows and windows.data[2:] == picture.size else None


def check_memory(photo: Image, costs: Costs | None = None, *, pictures: bool = True) -> None:
    """Raise DeviceError where the free memory is too small to finish a matte and make pictures of it.

    Without `pictures` only the alpha is finished. Call it before the network runs, too. When memory is exhausted the
    kernel kills the process, and the run is lost.
    """
    from mattecli.compositing.costs import Costs
    from mattecli.system.memory import free_bytes_for, show_bytes

    costs = costs or Costs(depth=photo.depth)
    width, height = photo.size
    needed = int(costs.of_pictures(photo) if pictures else costs.of_finishing(photo))
    if needed and needed > (free := free_bytes_for(needed)):
        what = f"putting {width}×{height} pixels together" if pictures else f"finishing {width}×{height} pixels"
        raise DeviceError(
            f"{what} takes {show_bytes(needed)} of memory, but {show_bytes(free)} is free; close other programs, or "
            "give the container more"
        )


def read_background(text: str, *, reading: ReadOptions | None = None) -> Image | Colour | None:
    """What `--background` names: a CSS colour as three floats, `transparent` as None, anything else as a picture.

    Of the options only `max_pixels` and `max_memory` count; the others are the photo's.
    Raises UsageError for text that is neither, InputError for a picture that cannot be read or is transparent.
    """
    if text.lower() == "transparent":
        return None
    if (colour := parse_colour(text)) is not None:
        return colour
    from mattecli.imaging.read import read_image
    from mattecli.system.files import is_there

    if not text or (not Path(text).suffix and not is_there(text) and text != "-"):
        raise UsageError(
            f"{text!r} is neither a file nor a colour; name a picture, '#00b140', a CSS colour name, or transparent"
        )
    picture = read_image(text, options=(reading or ReadOptions()).limits)
    if picture.transparent:
        raise InputError(f"{text} is transparent in places, where a background has no colour; flatten it on one first")
    return picture


def is_picture(background: str) -> bool:
    """Whether `--background` names a picture's file, not a colour and not `transparent`. Nothing is opened."""
    return background.lower() != "transparent" and parse_colour(background) is None


def background_word(background: str) -> str:
    """What a background is called in the names of files: a picture's name without suffix, or the colour's text."""
    word = Path(background).stem if is_picture(background) else background.lower()
    return re.sub(r"[^\w.-]+", "-", word).strip("-.") or "background"


def parse_colour(text: str) -> Colour | None:
    """`#00b140`, `#0b4`, `rgb(0 177 64)` or a CSS name as three floats in [0, 1]; None for any other text.

    The values of `rgb()` are 0 to 255 or percentages, with commas or without. Raises UsageError for a text that is
    meant as a colour and is not one, or not an opaque one.
    """
    from PIL import ImageColor  # a table of names without pixels, so it does not belong to mattecli.imaging.image

    text = text.strip()
    value, gap = r"(\d+(?:\.\d+)?)(%?)", r"(?:\s*,\s*|\s+)"
    numbers = re.fullmatch(rf"rgba?\(\s*{value}{gap}{value}{gap}{value}\s*([,/][^()]+)?\)", text, re.IGNORECASE)
    try:
        red, green, blue, *alpha = (number / 255 for number in ImageColor.getrgb(text))
    except ValueError as error:
        if numbers is None:
            if (text[:1] == "#" and not Path(text).suffix) or re.fullmatch(r"(?i:rgba?|hs[lvb])\(.*\)", text):
                raise UsageError(
                    f"{text!r} is not a colour; write # and three or six hexadecimal digits, rgb(0 177 64) or a name"
                ) from error
            return None
        pairs = zip(numbers.groups()[:6:2], numbers.groups()[1:6:2], strict=True)  # Pillow wants commas and whole ones
        red, green, blue = (float(number) / (100 if percent else 255) for number, percent in pairs)
        alpha = [] if numbers[7] is None else [0.0]
    if max(red, green, blue) > 1:
        raise UsageError(f"{text!r} is not a colour; its values end at 255 or 100%")
    if alpha:
        raise UsageError(f"{text!r} has an alpha value; give an opaque colour, such as '#00b140', or transparent")
    return red, green, blue


def write_output(
    kind: Kind,
    target: str | Path,
    photo: Image,
    alpha: NDArray[Any],
    *,
    colours: ForegroundColours | None = None,
    finished: Finished | None = None,
    background: Image | Colour | None = None,
    fit: Fit = "cover",
    around: Colour | None = None,
    linear: bool = False,
    bits: Depth = 8,
    files: WriteOptions | None = None,
    output_space: str = "keep",
    size: tuple[int, int] | None = None,
    max_bytes: int | None = None,
    overwrite: bool = False,
    ready: Callable[[BinaryIO], None] | None = None,
) -> None:
    """Write one output whole or not at all; see `make_output`, and `write_alpha` for `bits`, the alpha's depth.

    `layers` is a file with the photo, and with the foreground's colours behind a mask of the alpha: see `write_layers`.
    `files` says how the files of other kinds than the alpha are written. The output is made in the colour space that
    `deliver` finds for its format, its depth and `output_space`. `colours` are shared by outputs of one photo and
    alpha; `finished` is the finished matte. `size` and `max_bytes` are those of a `Rendition`.
    `ready` is called with the finished file before it takes its name. Raises InputError and DeviceError.
    """
    from mattecli.compositing.delivery import deliver
    from mattecli.compositing.rendition import shrunk, shrunk_into, within_bytes
    from mattecli.imaging.image import in_space
    from mattecli.imaging.write import check_format, stored_depth, write_alpha, write_image
    from mattecli.imaging.writing.layers import LAYERS, write_layers

    delivered = alpha if finished is None else finished.alpha
    if kind == "alpha":
        like = photo if finished is None else finished.framed(photo)
        small = shrunk_into(delivered, size)
        write_alpha(target, small, bits=bits, overwrite=overwrite, like=like, ready=ready)
        return
    files = files or WriteOptions()
    form = LAYERS if kind == "layers" else check_format(target)
    delivery = deliver(photo, form, output_space=output_space, bits=files.bits)
    working = delivery.prepared(photo)
    shown: Kind = "foreground" if kind == "layers" else kind
    made = make_output(
        shown,
        working,
        alpha,
        background=background,
        fit=fit,
        around=around,
        linear=linear,
        foreground=None if colours is None else colours.of(working, alpha),
        finished=finished,
        cutout_for=None if colours is None or kind == "foreground" else colours.cutout_for,
        depth=delivery.working_depth,
        dither=stored_depth(form, delivery.depth, files) == 8,
    )
    made = shrunk(in_space(made, delivery.final, depth=delivery.depth), size)
    files = stored_as(form, photo, background if kind == "composite" else None, files)
    if max_bytes is not None:
        files = within_bytes(made, str(target), options=files, most=max_bytes)
    if kind == "layers":
        whole = in_space(working, delivery.final, depth=delivery.depth)
        write_layers(target, whole, made, delivered, overwrite=overwrite, ready=ready, options=files)
    else:
        write_image(target, made, overwrite=overwrite, ready=ready, options=files)


def stored_as(form: Format, photo: Image, background: Image | Colour | None, files: WriteOptions) -> WriteOptions:
    """How a file of this format is written: as half where it can be, is not told otherwise, and all has 8 bits.

    The output itself does not show that, because OpenEXR is made in floats.
    """
    from mattecli.imaging.image import Image

    deep = photo.depth > 8 or (isinstance(background, Image) and background.depth > 8)
    return files if deep or not form.half or files.bits is not None else replace(files, bits="half")


def check_output_file(
    kind: Kind,
    target: str,
    *,
    bits: Depth,
    background: str | None,
    overwrite: bool,
    inputs: Iterable[str],
    files: WriteOptions | None = None,
) -> None:
    """Raise InputError, before any heavy work, for a file that cannot hold this output or cannot be written."""
    if kind == "alpha":
        from mattecli.imaging.write import check_output

        check_output(target, overwrite=overwrite, bits=bits, inputs=inputs)
    elif kind == "layers":
        from mattecli.imaging.writing.layers import check_layers

        check_layers(target, overwrite=overwrite, inputs=inputs)
    else:
        over = _under(kind, background)
        check_composite_output(target, over, overwrite=overwrite, inputs=inputs, files=files)


def check_output_format(
    kind: Kind, target: str, *, bits: Depth, background: str | None, files: WriteOptions | None = None
) -> None:
    """Raise InputError for a file whose format cannot hold this output; the file need not be there to write."""
    from mattecli.imaging.write import check_format

    if kind == "alpha":
        check_format(target, bits=bits)
    elif kind == "layers":
        from mattecli.imaging.writing.layers import check_layered

        check_layered(target)
    else:
        check_format(target, alpha=_under(kind, background).lower() == "transparent", options=files)


def _under(kind: Kind, background: str | None) -> str:
    """What lies under the foreground of an output other than the alpha."""
    return "transparent" if kind == "cutout" else background if kind == "composite" and background else "black"


def check_composite_output(
    target: str, background: str, *, overwrite: bool, inputs: Iterable[str], files: WriteOptions | None = None
) -> None:
    """Raise InputError, before any heavy work, for a file that cannot hold a composite over this background."""
    from mattecli.imaging.write import check_output

    transparent = background.lower() == "transparent"
    check_output(target, overwrite=overwrite, alpha=transparent, inputs=inputs, options=files)


def photo_note(photo: Image, name: str) -> str | None:
    """A warning about a photo that is transparent in places; None for any other."""
    if photo.glow is not None:
        count = int(photo.glow.sum())
        return f"{name} has light under alpha 0 in {count} pixels; it stays where the new alpha is 0, too"
    if photo.transparent:
        return f"{name} is transparent in places, and its hidden colours are used; flatten it on a colour first"
    return None
