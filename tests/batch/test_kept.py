"""Kept alphas: exact, checked, and pruned."""

from pathlib import Path

import numpy as np
import pytest

from mattecli.batch.kept import KeptAlphas, bytes_at_most
from mattecli.errors import InputError

FACTS = {"tile": "off", "notes": ["a note"]}


def matte(seed: int = 0, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """An alpha of noise in the unknown band of a trimap."""
    trimap = np.zeros((side, side + 8), np.uint8)
    trimap[:, 10:30], trimap[:, 30:] = 128, 255
    alpha = np.where(trimap == 128, np.random.default_rng(seed).random(trimap.shape, np.float32), trimap / 255)
    return alpha.astype(np.float32), trimap


def test_an_alpha_comes_back_bit_by_bit_with_its_trimap_and_facts(tmp_path: Path) -> None:
    alpha, trimap = matte()
    alpha[3, 12:15] = (0.0, 1.0, 1e-30)
    KeptAlphas(tmp_path).save("key", alpha, trimap, facts=FACTS)
    kept = KeptAlphas(tmp_path).load("key", size=(48, 40))
    assert kept is not None
    assert kept.alpha.tobytes() == alpha.tobytes()
    assert (kept.trimap == trimap).all()
    assert kept.facts == FACTS
    assert kept.alpha.dtype == np.float32


def test_a_trimap_without_unknown_pixels_is_kept_too(tmp_path: Path) -> None:
    trimap = np.full((5, 7), 255, np.uint8)
    KeptAlphas(tmp_path).save("key", np.ones((5, 7), np.float32), trimap, facts={})
    kept = KeptAlphas(tmp_path).load("key", size=(7, 5))
    assert kept is not None
    assert (kept.alpha == 1).all()


def test_its_file_is_no_larger_than_was_said(tmp_path: Path) -> None:
    alpha, trimap = matte(side=200)
    kept = KeptAlphas(tmp_path)
    kept.save("key", alpha, trimap, facts=FACTS)
    assert 0 < kept.stored()[1] <= bytes_at_most(trimap)


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty", "text", "size"])
def test_a_missing_or_damaged_alpha_is_none(tmp_path: Path, damage: str) -> None:
    kept = KeptAlphas(tmp_path)
    alpha, trimap = matte()
    kept.save("key", alpha, trimap, facts=FACTS)
    path = kept.folder / "key.npz"
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[: len(content) // 3],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "empty": b"",
        "text": b"not an archive",
    }
    if damage == "missing":
        path.unlink()
    elif damage != "size":
        path.write_bytes(damaged[damage])
    assert kept.load("key", size=(40, 40) if damage == "size" else (48, 40)) is None


def test_pruning_removes_the_alphas_that_nobody_uses(tmp_path: Path) -> None:
    kept = KeptAlphas(tmp_path)
    assert kept.prune([]) == (0, 0)
    for key in ("one", "two", "three"):
        kept.save(key, *matte(), facts=FACTS)
    total = kept.stored()[1]
    (kept.folder / "notes.txt").write_text("a user's")
    removed, freed = kept.prune({"two"})
    assert removed == 2
    assert freed == total - kept.stored()[1]
    assert [kept.has(key) for key in ("one", "two", "three")] == [False, True, False]
    assert (kept.folder / "notes.txt").exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".matte").write_text("a file in the way")
    with pytest.raises(InputError, match=r"written .*; check that its disk .*, or run without keeping alphas"):
        KeptAlphas(tmp_path).save("key", *matte(), facts=FACTS)


def test_an_alpha_that_contradicts_its_trimap_is_refused(tmp_path: Path) -> None:
    alpha, trimap = matte()
    alpha[0, 0] = 0.5
    with pytest.raises(ValueError, match="differs from the trimap"):
        KeptAlphas(tmp_path).save("key", alpha, trimap, facts=FACTS)
