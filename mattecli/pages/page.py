"""What our HTML pages share: small pictures inside the file, one look, and a file that is whole or not there."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.encoding import FORMATS
from mattecli.imaging.image import Image
from mattecli.system.files import check_target, whole_file

STYLE = """\
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #667080; --line: #e2e5ea; --paper: #f5f6f8; --card: #fff;
  --bad: #b3261e; --badpaper: #fdeeec; --accent: #3b6fd4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #9aa3b0; --line: #33383f; --paper: #16181c;
  --card: #1f2227; --bad: #ff8a80; --badpaper: #34201f; --accent: #7ea6ff; } }
* { box-sizing: border-box; margin: 0; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); padding: 2rem 1rem 4rem; }
main { max-width: 1280px; margin: 0 auto; display: grid; gap: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.05rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; color: var(--soft); margin-top: .5rem; }
dd { overflow-wrap: anywhere; }
article, section, .tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
article, section { padding: 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 1rem; }
.tiles div { padding: .8rem 1rem; display: flex; flex-direction: column; }
.tiles b { font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span, .note, figcaption { color: var(--soft); }
.failed { border-color: var(--bad); background: var(--badpaper); }
.failed h2 { color: var(--bad); }
table { border-collapse: collapse; margin-top: .5rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .2rem 1.2rem .2rem 0; overflow-wrap: anywhere; }
"""


def shrunk(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """The picture with `side` pixels on its longer side; a smaller one as it is."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def data_uri(pixels: NDArray[Any]) -> str:
    """uint8 pixels as WebP inside a URI, lossless for mattes; every browser shows it."""
    buffer = io.BytesIO()
    FORMATS[".webp"].save(buffer, Image(pixels))
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def check_page(target: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Raise `InputError`, before any heavy work, for a page that could not be written, or would replace an input."""
    if target.is_dir():
        raise InputError(f"{target} is a folder; name an .html file in it")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target} does not end in .html, as a page must; name another file")
    check_target(target, overwrite=overwrite, inputs=inputs, remedy="name another page")


def write_page(target: Path, page: str) -> None:
    """Write the page whole or not at all. Raises `InputError`."""
    try:
        with whole_file(target) as handle:
            handle.write(page.encode("utf-8", "backslashreplace"))  # file names may hold bytes that are no text
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); name another file or folder") from error
