from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from mattecli.errors import MatteError
from mattecli.imaging.options import ReadOptions
from mattecli.server import pixels as module
from mattecli.server.pixels import Pixels
from mattecli.server.tiles import Index
from tests.support.pictures import noise

SIZE = (1203, 1701)


def jpeg(folder: Path, *, orientation: int = 1) -> Path:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.fromarray(noise(3, *SIZE)).save(
        folder / "photo.jpg", quality=95, subsampling=0, exif=exif, icc_profile=profile
    )
    return folder / "photo.jpg"


class Slow:
    """Decodes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.read, self.calls = threading.Event(), module.read_image, 0
        monkeypatch.setattr(module, "read_image", self)
        monkeypatch.setattr(module, "LARGE", 10**6)
        monkeypatch.setattr(module, "DRAFT_SIDE", 200)

    def __call__(self, path: Path, *, options: ReadOptions) -> object:
        self.calls += 1
        self.go.wait(60)
        return self.read(path, options=options)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_shows_a_draft_until_it_is_decoded(
    orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    pixels = Pixels(jpeg(tmp_path, orientation=orientation), folder=tmp_path, reading=ReadOptions())
    assert pixels.size == (SIZE[::-1] if orientation == 1 else SIZE)
    assert pixels.facts() == {"bits": 8, "linear": False, "space": "sRGB"}
    draft = pixels.tile(3, Index(0, 0))
    slow.go.set()
    assert pixels.image.size == pixels.size
    assert slow.calls == 1
    decoded = pixels.tile(3, Index(0, 0))
    assert draft.shape == decoded.shape
    assert np.abs(draft.astype(int) - decoded).mean() < 3
    pixels.close()


def test_full_size_tiles_wait_for_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    path = jpeg(tmp_path)
    pixels = Pixels(path, folder=tmp_path, reading=ReadOptions())
    with ThreadPoolExecutor(1) as pool, PIL.Image.open(path) as picture:
        asked = pool.submit(pixels.tile, 0, Index(2, 3))
        with pytest.raises(TimeoutError):
            asked.result(0.2)
        slow.go.set()
        assert np.array_equal(asked.result(60), np.asarray(picture)[512:768, 768:1024])
    pixels.close()


def test_other_photos_are_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    slow.go.set()
    PIL.Image.fromarray(noise(3, *SIZE)).save(tmp_path / "photo.png")
    pixels = Pixels(tmp_path / "photo.png", folder=tmp_path, reading=ReadOptions())
    assert slow.calls == 1
    assert np.array_equal(pixels.tile(0, Index(0, 0)), noise(3, *SIZE)[:256, :256])
    pixels.close()


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    path = jpeg(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MatteError, match=r"photo\.jpg"):
        Pixels(path, folder=tmp_path, reading=ReadOptions())


def test_exposures_share_the_levels_and_only_some_are_kept(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((20, 30, 3), 60, np.uint8)).save(tmp_path / "photo.png")
    pixels = Pixels(tmp_path / "photo.png", folder=tmp_path, reading=ReadOptions())
    means = [pixels.tile(0, Index(0, 0), exposure=stops).mean() for stops in (0, 1, 2, 3, 4, 1)]
    assert means[:5] == sorted(means[:5])
    assert means[5] == means[1]
    assert len(pixels._exposed) == module._MOST_EXPOSURES
    pixels.close()
