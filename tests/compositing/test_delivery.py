"""Files of 16 bits that are made of photos of 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.colours import ForegroundColours
from mattecli.compositing.delivery import deliver
from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.outputs import make_output, write_output
from mattecli.imaging.choices import Kind
from mattecli.imaging.colour import convert, space_named
from mattecli.imaging.colour.encodings import TableEncoding, encoding_of
from mattecli.imaging.image import Image
from mattecli.imaging.options import Depth, WriteOptions
from mattecli.imaging.pixels import as_float
from mattecli.imaging.read import read_image
from mattecli.imaging.space import Space
from mattecli.imaging.write import check_format
from tests.batch.test_worker import table_profile
from tests.imaging.test_colour import PQ

Floats = NDArray[np.float32]
WHITE = (1.0, 1.0, 1.0)


def subject(icc: bytes | None = None) -> tuple[Image, Floats]:
    """A photo of 8 bits, and a very soft alpha with more than 256 values."""
    rng = np.random.default_rng(0)
    alpha = np.zeros((160, 200), np.float32)
    cv2.circle(alpha, (100, 80), 40, 1.0, -1, cv2.LINE_AA)
    return Image(rng.integers(40, 200, (160, 200, 3), dtype=np.uint8), icc), cv2.GaussianBlur(alpha, (0, 0), 9)


def written(tmp_path: Path, kind: Kind, bits: Depth = 16, suffix: str = ".png", **options: Any) -> NDArray[Any]:
    """The pixels of an output's file."""
    photo, alpha = options.pop("photo", None) or subject()
    tmp_path.mkdir(exist_ok=True)
    target = tmp_path / f"{kind}{suffix}"
    write_output(kind, target, photo, alpha, files=WriteOptions(bits=bits), **options)
    return read_image(target, keep_alpha=True).pixels


def test_a_cutout_of_16_bits_has_the_alpha_and_the_colours_of_16_bits(tmp_path: Path) -> None:
    photo, alpha = subject()
    cut, front = written(tmp_path, "cutout"), written(tmp_path, "foreground")
    assert cut.dtype == np.uint16
    assert np.abs(cut[..., 3] - alpha * 65535).max() <= 0.6
    assert np.abs(front - estimate_foreground(photo.pixels, alpha) * 65535).max() <= 0.6


@pytest.mark.parametrize(("bits", "suffix"), [(16, ".png"), (16, ".tif"), ("float", ".tif")])
def test_gradients_of_a_composite_and_of_its_shadow_have_16_bits(tmp_path: Path, bits: Depth, suffix: str) -> None:
    photo, alpha = subject()
    finished = finish(photo, alpha, Finishing(shadow="drop"))
    assert finished.light is not None
    made = written(tmp_path, "composite", bits, suffix, background=WHITE, finished=finished)
    values = made if bits == "float" else made / np.float32(65535)
    exact = Image(as_float(photo.pixels))
    floats = make_output("composite", exact, alpha, background=WHITE, finished=finished).pixels
    assert np.abs(floats - values).max() < 1 / 65535


def test_an_output_of_8_bits_is_as_before(tmp_path: Path) -> None:
    photo, alpha = subject()
    assert np.array_equal(written(tmp_path, "cutout", 8), make_output("cutout", photo, alpha).pixels)


def test_a_changed_space_does_not_round_to_8_bits_before_the_estimate(tmp_path: Path) -> None:
    photo, _ = subject(space_named("adobergb").icc)
    full = np.ones((160, 200), np.float32)
    made = written(tmp_path, "foreground", photo=(photo, full), output_space="srgb")
    exact = convert(photo.pixels, photo.space, Space(), depth=32)
    assert np.abs(made - exact.clip(0, 1) * 65535).max() <= 2


def test_one_estimate_serves_files_of_8_and_of_16_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, alpha = subject()
    calls = []

    def counted(*given: Any, **options: Any) -> Floats:
        calls.append(given)
        return estimate_foreground(*given, **options)

    monkeypatch.setattr("mattecli.compositing.colours.estimate_foreground", counted)
    colours = ForegroundColours()
    for name, bits in (("a", 8), ("b", 16), ("c", 8)):
        written(tmp_path / name, "cutout", bits, photo=(photo, alpha), colours=colours)  # type: ignore[arg-type]
    assert len(calls) == 1


def test_a_profile_of_tables_keeps_its_values_in_16_bits() -> None:
    icc = table_profile()
    assert isinstance(encoding_of(Space(icc)), TableEncoding)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for depth, full in ((16, 65535), (32, 1)):
        deep = convert(pixels, Space(icc), Space(icc), depth=depth)
        np.testing.assert_allclose(deep, pixels / np.float64(255) * full, rtol=1e-6)
    known = convert(pixels, Space(icc), Space(), depth=8)
    np.testing.assert_array_equal(convert(pixels, Space(icc), Space(), depth=16), known * np.uint16(257))
    made = make_output("foreground", Image(pixels, icc), np.ones((30, 40), np.float32), depth=16)
    np.testing.assert_array_equal(made.pixels, pixels * np.uint16(257))


def test_a_photo_of_8_bits_is_not_copied_for_16() -> None:
    photo, _ = subject()
    delivery = deliver(photo, check_format("a.png"), bits=16)
    assert (delivery.depth, delivery.working_depth) == (16, 16)
    assert delivery.prepared(photo) is photo


def test_pq_of_8_bits_goes_back_into_png_of_16(tmp_path: Path) -> None:
    photo = Image(np.full((4, 6, 3), 148, np.uint8), cicp=PQ)
    assert deliver(photo, check_format("a.png"), bits=16).note is None
    made = written(tmp_path, "foreground", photo=(photo, np.ones((4, 6), np.float32)))
    assert np.abs(made.astype(int) - 148 * 257).max() <= 2
