"""`mattecli.Predictor`: rows in, rows out, in any process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mattecli
from mattecli.errors import InputError, UsageError, WeightsError
from mattecli.imaging.read import read_image
from mattecli.trimaps.pairs import pair_size, read_pair, read_trimap, trimap_note
from tests.support.batches import SIDE, write_photo, write_trimap


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A photo and its trimap."""
    return write_photo(tmp_path / "a.png"), write_trimap(tmp_path / "t.png")


@pytest.fixture(scope="module")
def predictor() -> mattecli.Predictor:
    """One for all tests, since loading takes longest."""
    return mattecli.Predictor(device="cpu")


def test_paths_and_bytes_give_the_alpha_that_predict_alpha_gives(
    predictor: mattecli.Predictor, pair: tuple[Path, Path]
) -> None:
    photo, trimap = pair
    expected = mattecli.predict_alpha(read_image(photo).pixels, read_trimap(trimap), predictor.load())
    for image, known in [(str(photo), str(trimap)), (photo, trimap), (photo.read_bytes(), trimap.read_bytes())]:
        row = predictor({"image": image, "trimap": known, "id": 7})
        assert (row["error"], row["id"], row["image"]) == (None, 7, image)
        assert row["alpha"].dtype == np.float32
        assert np.array_equal(row["alpha"], expected)


def test_a_row_that_cannot_be_matted_has_its_reason(
    predictor: mattecli.Predictor, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    photo, trimap = pair
    small = write_trimap(tmp_path / "small.png", width=SIDE - 1)
    for row, told in [
        ({"image": "gone.png", "trimap": str(trimap)}, "gone.png does not exist"),
        ({"image": photo.read_bytes()[:100], "trimap": trimap}, "the image is truncated or damaged"),
        ({"image": b"", "trimap": trimap}, "the image is empty (0 bytes)"),
        ({"image": str(photo), "trimap": str(small)}, "small.png is 31×32 but"),
        ({"image": photo.read_bytes(), "trimap": small.read_bytes()}, "the trimap is 31×32 but the image is 32×32"),
        ({"image": str(photo)}, "the row's 'trimap' is NoneType; give the path of a file, or its bytes"),
        ({"image": "-", "trimap": str(trimap)}, "the row's 'image' is str"),
    ]:
        result = predictor(row)
        assert result["alpha"] is None
        assert told in result["error"], row


def test_too_little_memory_is_a_rows_reason_and_names_the_file(pair: tuple[Path, Path]) -> None:
    row = mattecli.Predictor(device="cpu", max_memory=2**20)({"image": str(pair[0]), "trimap": str(pair[1])})
    assert row["alpha"] is None
    assert f"{pair[0]} has" in row["error"]


def test_what_concerns_every_row_is_raised(pair: tuple[Path, Path]) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        mattecli.Predictor("nowhere.safetensors")({"image": str(pair[0]), "trimap": str(pair[1])})


def test_an_option_that_turns_out_wrong_at_a_row_is_raised(
    predictor: mattecli.Predictor, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("`tile` must be another")

    monkeypatch.setattr(predictor.model, "predict", refuse)
    with pytest.raises(UsageError, match="`tile` must be another"):
        predictor({"image": str(pair[0]), "trimap": str(pair[1])})


def test_a_predictor_travels_light_and_works_in_another_process(
    predictor: mattecli.Predictor, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    predictor.load()
    pickled = pickle.dumps(predictor)
    assert len(pickled) < 1000
    here = predictor({"image": str(pair[0]), "trimap": str(pair[1])})
    (tmp_path / "job").write_bytes(pickle.dumps((predictor, {"image": str(pair[0]), "trimap": str(pair[1])})))
    code = (
        "import pickle, sys; from pathlib import Path; folder = Path(sys.argv[1])\n"
        "predictor, row = pickle.loads((folder / 'job').read_bytes())\n"
        "(folder / 'result').write_bytes(pickle.dumps(predictor(row)))"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    there = pickle.loads((tmp_path / "result").read_bytes())
    assert np.array_equal(here["alpha"], there["alpha"])


def test_a_pairs_size_is_known_from_the_headers_and_differing_ones_are_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assert pair_size(*pair) == (SIDE, SIDE)
    with pytest.raises(InputError, match="is 32×20 but"):
        read_pair(str(pair[0]), str(write_trimap(tmp_path / "low.png", height=20)))


def test_odd_trimaps_are_told() -> None:
    assert "no unknown pixels" in (trimap_note(0, "t.png") or "")
    assert "has only unknown pixels" in (trimap_note(1, "t.png") or "")
    assert trimap_note(0.4, "t.png") is None
