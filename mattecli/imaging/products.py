"""Products of a run and their file formats; imports nothing heavy.

`--what alpha:png16,cutout:webp,composite:jpg` names them: a kind of output, and the format of its file.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import cast, get_args

from mattecli.imaging.choices import Kind
from mattecli.imaging.options import Depth


@dataclass(frozen=True)
class FileFormat:
    """A file's suffix and depth; None is the depth that the format and the picture share, or that of `bits`.

    `alpha` says whether the format holds transparency, `exact` whether it keeps the values of a matte.
    """

    suffix: str
    bits: Depth | None = None
    alpha: bool = True
    exact: bool = True


Products = dict[Kind, FileFormat | None]

_JPEG = FileFormat(".jpg", alpha=False, exact=False)
FILE_FORMATS = {
    "png": FileFormat(".png"),
    "png8": FileFormat(".png", 8),
    "png16": FileFormat(".png", 16),
    "tif": FileFormat(".tif"),
    "tiff": FileFormat(".tif"),
    "tif8": FileFormat(".tif", 8),
    "tif16": FileFormat(".tif", 16),
    "tiffloat": FileFormat(".tif", "float"),
    "exr": FileFormat(".exr"),
    "exrhalf": FileFormat(".exr", "half"),
    "exrfloat": FileFormat(".exr", "float"),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "webp": FileFormat(".webp"),
    "avif": FileFormat(".avif"),
    "jxl": FileFormat(".jxl"),
    "jxl8": FileFormat(".jxl", 8),
    "jxl16": FileFormat(".jxl", 16),
    "bmp": FileFormat(".bmp", alpha=False),
    "npy": FileFormat(".npy"),
    "psd": FileFormat(".psd"),
}
LOSSY = (".jpg", ".jpeg", ".webp", ".avif", ".jxl")  # suffixes of formats that have a quality
LAYERED = (".psd", ".tif", ".tiff")  # suffixes of files with layers; the first is the default
_SAVED = ("trimap", *get_args(Kind))  # what is saved beside a photo, by the ends of names


def is_saved(name: str, photos: Container[str]) -> bool:
    """Whether a file is what was saved beside a photo, as `cat_alpha` is of `cat`; all names without suffixes."""
    photo, _, what = name.rpartition("_")
    return what in _SAVED and photo in photos


def parse_products(text: str) -> Products:
    """The products that `KIND[:FORMAT],…` lists, each kind once. Raises ValueError for what cannot be."""
    products: Products = {}
    for part in text.split(","):
        name, colon, wanted = (piece.strip() for piece in part.partition(":"))
        if name not in get_args(Kind):
            raise ValueError(f"must list {', '.join(get_args(Kind))} (any of them, with commas), not {name!r}")
        kind = cast(Kind, name)
        form = FILE_FORMATS.get(wanted.lower()) if colon else None
        if colon and form is None:
            raise ValueError(f"must name a format after {kind}: {', '.join(FILE_FORMATS)}; not {wanted!r}")
        if kind in products and products[kind] != form:
            raise ValueError(f"must list {kind} once")
        if form is not None:
            _check(kind, wanted, form)
        products[kind] = form
    return products


def _check(kind: Kind, name: str, form: FileFormat) -> None:
    """Raise ValueError for a format that cannot hold this kind of output."""
    if kind == "layers" and (form.suffix not in LAYERED or form.bits is not None):
        raise ValueError("must give layers the format psd or tif")
    if kind != "layers" and form.suffix == ".psd":
        raise ValueError("must give the format psd to layers alone")
    if kind == "alpha" and not form.exact:
        raise ValueError(f"must not give the alpha the format {name}, which changes values; take png, tif or webp")
    if kind == "cutout" and not form.alpha:
        raise ValueError(f"must not give a cutout the format {name}, which has no transparency; take png, webp or tif")


def check_over(products: Products, background: str | None) -> None:
    """Raise ValueError for a composite over nothing in a format without transparency."""
    form = products.get("composite")
    if form is not None and not form.alpha and (background or "").lower() == "transparent":
        raise ValueError(f"a composite over transparent needs a format with transparency, not {form.suffix}; take png")


def suffixes(products: Products) -> dict[str, str]:
    """The suffixes that are settled by the formats."""
    settled: dict[str, str] = {kind: form.suffix for kind, form in products.items() if form is not None}
    if "layers" in products:
        settled.setdefault("layers", LAYERED[0])
    return settled


def depths(products: Products) -> dict[str, Depth]:
    """The depths that are settled by the formats."""
    return {kind: form.bits for kind, form in products.items() if form is not None and form.bits is not None}
