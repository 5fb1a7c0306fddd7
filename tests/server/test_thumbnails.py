from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.errors import MatteError
from mattecli.server import thumbnails as module
from mattecli.server.thumbnails import Thumbnails
from tests.server.web import page_for


def photo(path: Path, *, height: int = 900, width: int = 1200, **options: object) -> Path:
    """A photo whose left half is red, and whose right half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = (200, 30, 30), (30, 30, 200)
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


def seen(content: bytes) -> np.ndarray:
    with PIL.Image.open(BytesIO(content)) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_thumbnail_is_a_small_picture_of_the_photo(tmp_path: Path, suffix: str) -> None:
    pixels = seen(Thumbnails().of(photo(tmp_path / f"photo.{suffix}")))
    assert 128 <= pixels.shape[1] <= 256
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(4 / 3, rel=0.02)
    height, width = pixels.shape[:2]
    assert np.abs(pixels[height // 2, width // 4] - (200, 30, 30)).max() < 12
    assert np.abs(pixels[height // 2, 3 * width // 4] - (30, 30, 200)).max() < 12


def test_a_turned_jpeg_is_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    pixels = seen(Thumbnails().of(photo(tmp_path / "photo.jpg", exif=exif)))
    assert pixels.shape[0] > pixels.shape[1]
    assert pixels[pixels.shape[0] // 4, pixels.shape[1] // 2, 0] > 150


def test_a_jpeg_is_not_decoded_at_its_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> object:
        raise AssertionError("the whole photo was decoded")

    path = photo(tmp_path / "photo.jpg")
    monkeypatch.setattr(module, "read_image", read)
    assert seen(Thumbnails().of(path)).size
    with pytest.raises(AssertionError):
        Thumbnails().of(photo(tmp_path / "photo.png"))


def test_thumbnails_are_kept_up_to_a_limit_and_made_anew_for_a_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    encoded = module.encoded
    monkeypatch.setattr(module, "encoded", lambda pixels: (made.append(1), encoded(pixels))[1])
    thumbnails = Thumbnails(most=3000)
    first = photo(tmp_path / "0.jpg")
    content = thumbnails.of(first)
    assert thumbnails.of(first) == content
    assert len(made) == 1
    for number in range(1, 9):
        thumbnails.of(photo(tmp_path / f"{number}.jpg"))
        assert thumbnails.nbytes <= max(3000, len(content))
    thumbnails.of(first)
    assert len(made) == 10, "the oldest was forgotten"
    photo(first, width=400)
    assert seen(thumbnails.of(first)).shape[0] > seen(content).shape[0]


def test_the_page_asks_for_thumbnails_by_the_opaque_word(tmp_path: Path) -> None:
    page = page_for(photo(tmp_path / "photo.png"), folder=tmp_path)
    closed = page.get(f"/app/photos/{page.word}/thumbnail")
    assert closed.headers["content-type"] == "image/jpeg"
    page.open()
    opened = page.get(f"/app/photos/{page.word}/thumbnail")
    assert np.array_equal(seen(closed.body), seen(opened.body))
    assert page.get("/app/photos/photo.png/thumbnail").status == 404
    page.close()


def test_a_photo_that_cannot_be_read_or_is_gone_has_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(MatteError, match=r"broken\.png"):
        Thumbnails().of(broken)
    page = page_for(broken, folder=tmp_path)
    target = f"/app/photos/{page.word}/thumbnail"
    assert page.get(target).status == 400
    broken.unlink()
    answer = page.get(target)
    assert answer.status == 404
    assert "broken.png" in answer.error
    page.close()
