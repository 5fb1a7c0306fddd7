"""The layers of Photoshop inside a TIFF, by psdtags.

They stand in the tag ImageSourceData (Adobe Photoshop TIFF Technical Notes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tag = tuple[int, int, int, bytes, bool]


def layers_tag(photo: NDArray[Any], colours: NDArray[Any], mask: NDArray[Any], *, order: str) -> Tag:
    """The tag with the photo, hidden, and above it the cut-out's colours (H, W, 3) behind a mask (H, W).

    `order` is the byte order of the file, `<` or `>`. All arrays are uint8 or uint16.
    """
    import psdtags as psd

    deep = photo.dtype == np.uint16
    below = _layer("Photo", photo, None)
    above = _layer("Cut-out", colours, mask)
    data = psd.TiffImageSourceData(
        name="mattecli",
        psdformat=psd.PsdFormat.LE32BIT if order == "<" else psd.PsdFormat.BE32BIT,
        layers=psd.PsdLayers(
            key=psd.PsdKey.LAYER_16 if deep else psd.PsdKey.LAYER, has_transparency=False, layers=[below, above]
        ),
        usermask=psd.PsdUserMask(),
        info=[],
    )
    tag: Tag = data.tifftag()
    return tag


def _layer(name: str, colours: NDArray[Any], mask: NDArray[Any] | None) -> Any:
    """An opaque layer, which is hidden unless it has a mask."""
    import psdtags as psd

    height, width = colours.shape[:2]
    frame = psd.PsdRectangle(0, 0, height, width)
    opaque = np.full((height, width), np.iinfo(colours.dtype).max, colours.dtype)
    planes = {psd.PsdChannelId.TRANSPARENCY_MASK: opaque}
    planes |= {psd.PsdChannelId(number): colours[..., number] for number in range(3)}
    if mask is not None:
        planes[psd.PsdChannelId.USER_LAYER_MASK] = mask
    zipped = psd.PsdCompressionType.ZIP
    flags = psd.PsdLayerFlag.PHOTOSHOP5
    return psd.PsdLayer(
        name=name,
        channels=[psd.PsdChannel(number, zipped, np.ascontiguousarray(plane)) for number, plane in planes.items()],
        rectangle=frame,
        mask=psd.PsdLayerMask() if mask is None else psd.PsdLayerMask(rectangle=frame),
        flags=flags if mask is not None else flags | psd.PsdLayerFlag.VISIBLE,  # the bit means hidden
        info=[psd.PsdString(psd.PsdKey.UNICODE_LAYER_NAME, name)],
    )
