"""Decodes image files to arrays, by format.

Pillow reads most formats. It reduces 16-bit colour to 8 bits, so OpenCV reads 16-bit PNG, and tifffile reads 16-bit and
float TIFF; OpenCV reads the compressions that tifffile lacks.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray
from PIL import ImageOps

from mattecli.errors import DeviceError, InputError, MatteError
from mattecli.imaging.colour import space, to_srgb
from mattecli.imaging.encoding import why_no_exr
from mattecli.system import memory, process

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

LARGEST = 2**30  # pixels; OpenCV has the same limit

_ORIENTATION = 0x0112
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 4: 2}  # samples per pixel, by the colour type in the header
_EXR = b"\x76\x2f\x31\x01"
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

Source = str | Path | bytes  # the name of a file, "-" for standard input, or the content of a file


@dataclass(frozen=True, eq=False)
class Decoded:
    """Upright pixels: grey (H, W), RGB (H, W, 3) or straight RGBA (H, W, 4); uint8, uint16, or float32 as stored."""

    pixels: NDArray[Any]
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None


def label(source: Source) -> str:
    """The name of this source in messages."""
    if isinstance(source, bytes):
        return "the picture in memory"
    return "standard input" if str(source) == "-" else str(source)


def is_pipe(source: Source) -> bool:
    """Whether this can be read only once: standard input, a shell's `<(…)`, a named pipe."""
    return isinstance(source, (str, Path)) and (str(source) == "-" or Path(source).is_fifo())


def decode(source: Source, *, colour_managed: bool) -> Decoded:
    """Read one image: a file, standard input for "-", or bytes.

    With `colour_managed`, a grey picture that has a profile is converted to sRGB, because its profile does not fit RGB.
    Mattes and trimaps are numbers, not colours, and are read without conversion.
    """
    with opened(source) as (handle, head), translated(source):
        if head.startswith(b"\x93NUMPY"):
            return Decoded(np.load(handle, allow_pickle=False))
        if head.startswith(_EXR):
            return _exr(handle, source)
        if head.startswith(_PNG) and head[24:25] == b"\x10":
            return _deep_png(handle, head, source)
        if head.startswith(_TIFF):
            deep = _deep_tiff(handle, source)
            if deep is not None:
                return deep
            handle.seek(0)
        return _with_pillow(handle, head, source, colour_managed=colour_managed)


def decode_size(source: Source) -> tuple[int, int]:
    """Width and height of the upright picture, from the file's header."""
    if is_pipe(source):
        raise InputError(f"{label(source)} is a pipe and can be read only once; read the image and take its size")
    with opened(source) as (handle, head), translated(source):
        if head.startswith(b"\x93NUMPY"):
            if isinstance(source, bytes):
                height, width = np.load(handle, allow_pickle=False).shape[:2]
            else:
                height, width = np.load(source, mmap_mode="r", allow_pickle=False).shape[:2]
            return int(width), int(height)
        if head.startswith(_EXR):
            height, width = _exr(handle, source).pixels.shape[:2]
            return int(width), int(height)
        if head.startswith(_TIFF):
            with tifffile.TiffFile(handle) as tiff:
                page = tiff.pages.first
                size = page.imagewidth, page.imagelength
                return size[::-1] if _tag(page, _ORIENTATION, 1) >= 5 else size
        picture = _open_pillow(handle, head, source)
        if head.startswith(_PNG):
            picture.info.setdefault("exif", _png_exif(handle))
        return picture.size[::-1] if picture.getexif().get(_ORIENTATION, 1) >= 5 else picture.size


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, bytes]]:
    """A seekable handle at its start, and the file's first 32 bytes."""
    _check_source(source)
    if isinstance(source, bytes):
        handle: BinaryIO = io.BytesIO(source)
    else:
        handle = _stdin() if str(source) == "-" else _file(Path(source))
    with handle:
        if not handle.seekable():  # a pipe: <(…) in a shell, a FIFO
            handle = io.BytesIO(handle.read())
        head = handle.read(32)
        if not head:
            remedy = "pipe an image into it" if label(source) == "standard input" else "export or copy it again"
            raise InputError(f"{label(source)} is empty (0 bytes); {remedy}")
        handle.seek(0)
        yield handle, head


def _check_source(source: object) -> None:
    if not isinstance(source, (str, Path, bytes)):
        raise InputError(f"a {type(source).__name__} is not a file; give the name of a file, or its bytes")


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise InputError("- reads an image from standard input, but that is a terminal; pipe an image into it")
    return io.BytesIO(sys.stdin.buffer.read())


def _file(path: Path) -> BinaryIO:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name an image file in it")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check its name and folder") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened ({reason}); check its name and its permissions") from error


@contextmanager
def translated(source: Source) -> Iterator[None]:
    """Turn any exception of a decoder into an `InputError` of one sentence."""
    try:
        yield
    except (MatteError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise InputError(
            f"{label(source)} is not an image that can be read; use PNG, JPEG, WebP, TIFF, BMP or AVIF"
        ) from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:  # a warning made an error
        raise _too_large(source) from error
    except Exception as error:  # damaged files make decoders raise all kinds of exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{label(source)} is truncated or damaged ({reason}); export or copy it again") from error


def _check_pixels(width: int, height: int, source: Source) -> None:
    """Raise `InputError` for a picture of more pixels than are read here."""
    if width * height > _most_pixels():
        raise _too_large(source)


def _most_pixels() -> int:
    """How many pixels are read: as many as Pillow's limit allows, which is raised only in a process that is ours."""
    allowed = PIL.Image.MAX_IMAGE_PIXELS
    if allowed is not None and process.is_ours():
        allowed = PIL.Image.MAX_IMAGE_PIXELS = max(allowed, LARGEST)
    return LARGEST if allowed is None else min(allowed, LARGEST)


def _too_large(source: Source) -> InputError:
    most = _most_pixels()
    remedy = "cut it into parts" if most == LARGEST else "raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    return InputError(f"{label(source)} has more than {most} pixels; {remedy}")


def _check_room(width: int, height: int, pixel_bytes: int, source: Source) -> None:
    """Raise `DeviceError` for a picture that does not fit twice into the free memory, as decoders need it.

    Otherwise the system could kill the process, which nothing can catch.
    """
    needed, free = 2 * width * height * pixel_bytes, memory.free_bytes()
    if needed > free:
        raise DeviceError(
            f"{label(source)} has {width}×{height} pixels; reading it takes about {memory.show_bytes(needed)}, but "
            f"only {memory.show_bytes(free)} are free; free memory or use a machine with more"
        )


def _open_pillow(handle: BinaryIO, head: bytes, source: Source) -> ImageFile:
    heic = head[4:8] == b"ftyp" and head[8:12] in _HEIC
    _most_pixels()  # before Pillow compares with it
    picture = _open_heic(handle, source) if heic else PIL.Image.open(handle)
    _check_pixels(picture.width, picture.height, source)
    return picture


def _open_heic(handle: BinaryIO, source: Source) -> ImageFile:
    """A HEIC picture, by Pillow's plug-in, which is not registered: that would change what Pillow opens elsewhere."""
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(
            f"{label(source)} is HEIC, which Pillow reads by a plug-in only; pip install pillow-heif or save it as JPEG"
        ) from error
    picture: ImageFile = pillow_heif.HeifImageFile(handle)
    return picture


def _with_pillow(handle: BinaryIO, head: bytes, source: Source, *, colour_managed: bool) -> Decoded:
    picture: PIL.Image.Image = _open_pillow(handle, head, source)
    icc = picture.info.get("icc_profile") or None
    orientation = picture.getexif().get(_ORIENTATION, 1)
    resolution = _turned_resolution(_resolution(picture.info.get("dpi")), orientation)
    _check_room(picture.width, picture.height, 4, source)  # Pillow holds a colour pixel in four bytes
    picture.load()  # turns a TIFF upright and drops its orientation tag
    ImageOps.exif_transpose(picture, in_place=True)
    picture, icc = _plain(picture, icc, colour_managed=colour_managed)
    return Decoded(_to_array(picture), icc, resolution)


def from_pillow(picture: PIL.Image.Image, *, colour_managed: bool) -> Decoded:
    """What `decode` makes of a file that somebody else has opened with Pillow; their picture stays as it is."""
    upright = ImageOps.exif_transpose(picture)
    plain, icc = _plain(upright, picture.info.get("icc_profile") or None, colour_managed=colour_managed)
    return Decoded(_to_array(plain), icc)


def _to_array(picture: PIL.Image.Image) -> NDArray[Any]:
    """The pixels, copied in bands. Pillow's own conversion would hold three copies of the picture."""
    first = np.asarray(picture.crop((0, 0, picture.width, 1)))
    pixels = np.empty((picture.height, *first.shape[1:]), first.dtype)
    for top in range(0, picture.height, 256):
        bottom = min(top + 256, picture.height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _plain(
    picture: PIL.Image.Image, icc: bytes | None, *, colour_managed: bool
) -> tuple[PIL.Image.Image, bytes | None]:
    """The picture in mode L, I;16, F, RGB or RGBA, with the profile that fits this mode."""
    if picture.mode in {"CMYK", "LAB"}:
        return to_srgb(picture, icc)
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        # Pillow scales a PGM of more than 8 bits to 16 bits, in a 32-bit mode.
        deep_pgm = picture.mode == "I" and picture.format == "PPM"
        return picture.convert("I;16") if deep_pgm else picture, None
    grey = picture.mode in {"1", "L", "LA", "La"}
    transparent = picture.has_transparency_data
    if grey and colour_managed and space(icc) == b"GRAY":
        rgb, srgb = to_srgb(picture.convert("L"), icc)
        if transparent:
            rgb.putalpha(picture.convert("LA").getchannel("A"))
        return rgb, srgb
    mode = "RGBA" if transparent else "L" if grey else "RGB"
    plain = picture if picture.mode == mode else picture.convert(mode)
    return plain, icc if space(icc) == b"RGB " and mode != "L" else None


def _resolution(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    if dpi is None:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if np.isfinite([x, y]).all() and x > 0 and y > 0 else None


def _deep_png(handle: BinaryIO, head: bytes, source: Source) -> Decoded:
    _open_pillow(handle, head, source).verify()  # the chunks' check sums: OpenCV may fill what is missing
    handle.seek(0)
    picture = _open_pillow(handle, head, source)
    picture.info.setdefault("exif", _png_exif(handle))
    icc, resolution = picture.info.get("icc_profile"), _resolution(picture.info.get("dpi"))
    orientation = picture.getexif().get(_ORIENTATION, 1)
    handle.seek(0)
    _check_room(*picture.size, 2 * _PNG_SAMPLES.get(head[25], 4), source)
    pixels = _with_opencv(handle)
    if pixels.ndim == 2 or space(icc) != b"RGB ":  # a grey profile does not fit the RGB that is made of the picture
        icc = None
    clear = picture.info.get("transparency")
    if pixels.ndim == 2 and isinstance(clear, int):  # a transparent grey; OpenCV handles that in RGB only
        opacity = np.where(pixels == clear, 0, 65535).astype(np.uint16)
        pixels = np.dstack([pixels, pixels, pixels, opacity])
    return _upright(Decoded(pixels, icc, resolution), orientation)


def _png_exif(handle: BinaryIO) -> bytes:
    """The EXIF chunk. It may follow the pixels, where Pillow finds it only after decoding all of them."""
    at = len(_PNG)
    while True:
        handle.seek(at)
        head = handle.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return b""
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return handle.read(length)
        at += 12 + length


def _with_opencv(handle: BinaryIO) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(handle.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return pixels


def _exr(handle: BinaryIO, source: Source) -> Decoded:
    if (reason := why_no_exr()) is not None:
        raise InputError(f"{label(source)} is OpenEXR, and {reason}; convert it to TIFF")
    return Decoded(_with_opencv(handle))


def _tag(page: Any, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    return default if tag is None else tag.value


def _deep_tiff(handle: BinaryIO, source: Source) -> Decoded | None:
    """A TIFF of 16-bit or floating-point grey or RGB(A). Returns None for a TIFF that Pillow can read."""
    with tifffile.TiffFile(handle) as tiff:
        page: Any = tiff.pages.first
        _check_pixels(page.imagewidth, page.imagelength, source)
        if page.bitspersample <= 8 or page.photometric not in (0, 1, 2):
            return None
        depths = {"u2": (16,), "f2": (16,), "f4": (24, 32), "f8": (64,)}
        if page.dtype is None or page.bitspersample not in depths.get(page.dtype.str[1:], ()):
            raise InputError(
                f"{label(source)} is a TIFF of {page.bitspersample}-bit integers; save it with 8 or 16 bits or as float"
            )
        _check_room(page.imagewidth, page.imagelength, page.samplesperpixel * page.bitspersample // 8, source)
        orientation = _tag(page, _ORIENTATION, 1)
        pixels, turned = _tiff_pixels(page, handle, source)
        if pixels.dtype.kind == "f":
            pixels = pixels.astype(np.float32, copy=False)
        if page.photometric == 0:  # white is zero
            pixels = (1.0 if pixels.dtype.kind == "f" else 65535) - pixels
        icc = _tag(page, 34675, None)
        fits = page.photometric == 2 and space(icc) == b"RGB "
        decoded = Decoded(_without_extras(pixels, page.extrasamples), icc if fits else None, _tiff_resolution(page))
    if turned:
        return Decoded(decoded.pixels, decoded.icc, _turned_resolution(decoded.resolution, orientation))
    return _upright(decoded, orientation)


def _tiff_pixels(page: Any, handle: BinaryIO, source: Source) -> tuple[NDArray[Any], bool]:
    """Pixels (H, W) or (H, W, S), and whether they are upright already."""
    try:
        pixels: NDArray[Any] = page.asarray()
    except (KeyError, ImportError, ValueError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        handle.seek(0)
        try:
            return _with_opencv(handle), True  # OpenCV always applies the orientation of a TIFF
        except ValueError:
            raise InputError(
                f"{label(source)} is truncated or damaged, or its compression ({page.compression.name}) cannot be read "
                "here; export it again, without compression or with ZIP"
            ) from error
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels, False


def _without_extras(pixels: NDArray[Any], extras: tuple[int, ...]) -> NDArray[Any]:
    """Grey, RGB or straight RGBA. Samples other than colour and alpha are dropped; premultiplied colour is divided."""
    if pixels.ndim == 2:
        return pixels
    colours = 3 if pixels.shape[2] - len(extras) >= 3 else 1
    # An extra sample of meaning 0 is a saved selection. A fourth sample without a tag is an alpha channel.
    meaning = extras[0] if extras else 2 if pixels.shape[2] > colours else 0
    if pixels.shape[2] == colours or meaning not in (1, 2):
        return pixels[..., :3] if colours == 3 else pixels[..., 0]
    colour, alpha = pixels[..., :colours], pixels[..., colours : colours + 1]
    if meaning == 1:
        full = 1.0 if pixels.dtype.kind == "f" else 65535.0
        straight = np.divide(colour, alpha, out=np.zeros(colour.shape, np.float32), where=alpha > 0)
        straight = np.clip(straight, 0, 1) * full
        colour = (straight if pixels.dtype.kind == "f" else np.rint(straight)).astype(pixels.dtype)
    return np.concatenate([np.broadcast_to(colour, (*colour.shape[:2], 3)), alpha], axis=2)


def _tiff_resolution(page: Any) -> tuple[float, float] | None:
    unit = _tag(page, 296, 2)
    per_inch = {2: 1.0, 3: 2.54}.get(int(unit))
    x, y = _tag(page, 282, None), _tag(page, 283, None)
    if per_inch is None or not x or not y or not x[1] or not y[1]:
        return None
    return _resolution((x[0] / x[1] * per_inch, y[0] / y[1] * per_inch))


def _turned_resolution(resolution: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    return resolution[::-1] if resolution and orientation >= 5 else resolution


def _upright(decoded: Decoded, orientation: int) -> Decoded:
    """Undo the rotation of the camera (EXIF 2.32, tag 0x0112, says where row 0 and column 0 belong)."""
    pixels = decoded.pixels
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return Decoded(np.ascontiguousarray(pixels), decoded.icc, _turned_resolution(decoded.resolution, orientation))
