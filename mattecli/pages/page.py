"""What the HTML pages share: small pictures, templates, whole files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.image import Image
from mattecli.imaging.writing.encoding import FORMATS
from mattecli.system.files import check_target, is_folder, whole_file

if TYPE_CHECKING:
    from jinja2 import Environment


def shrunk(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """The picture scaled down to `side` pixels on its longer side; a smaller picture is returned unchanged."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def data_uri(pixels: NDArray[Any]) -> str:
    """uint8 pixels as a WebP data URI, lossless for mattes. Every current browser shows WebP."""
    buffer = io.BytesIO()
    FORMATS[".webp"].save(buffer, Image(pixels))
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def check_page(target: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Raise `InputError`, before any heavy work, if the page cannot be written or would replace an input."""
    if is_folder(target):
        raise InputError(f"{target} is a folder; name an .html file in it")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target} does not end in .html, as a page must; name another file")
    check_target(target, overwrite=overwrite, inputs=inputs, remedy="name another page")


def write_page(target: Path, template: str, *, overwrite: bool, **values: object) -> None:
    """Fill in a template of this package and write the page, whole or not at all.

    All values are escaped as HTML. Raises `InputError` if the file cannot be written.
    """
    page = _templates().get_template(template).render(values)
    try:
        with whole_file(target, overwrite=overwrite) as handle:
            handle.write(page.encode("utf-8", "backslashreplace"))  # a file name may hold bytes that are not text
    except FileExistsError as error:
        raise InputError(f"{target} exists already; name another page or use `overwrite=True`") from error
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); name another file or folder") from error


@lru_cache(maxsize=1)
def _templates() -> Environment:
    """The templates; Jinja2 is imported here, so that only a command that writes a page loads it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mattecli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
