"""`matte trimap` of a folder, as users meet it."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from mattecli.trimaps.pairs import read_trimap
from mattecli.trimaps.recipe import MaskRecipe
from tests.conftest import RunMatte

MAKE = MaskRecipe.make


def write_mask(path: Path, *, x: int = 40) -> Path:
    """A white disc on black."""
    canvas = np.zeros((60, 80), np.uint8)
    cv2.circle(canvas, (x, 30), 18, 255, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(canvas).save(path)
    return path


def write_screen(path: Path) -> Path:
    """A red disc in front of a green screen."""
    canvas = np.full((60, 80, 3), (30, 180, 40), np.uint8)
    cv2.circle(canvas, (40, 30), 18, (220, 40, 40), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(canvas).save(path)
    return path


def made_in(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))


def test_the_names_of_photos_are_kept_whole(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_screen(photos / "gas.png")
    write_screen(photos / "gas_mask.png")
    core = np.zeros((60, 80), np.uint8)
    core[:9, :9] = 255
    (tmp_path / "cores").mkdir()
    PIL.Image.fromarray(core).save(tmp_path / "cores/gas_mask.png")
    code, _, err = run_matte("trimap", photos, out, "--key", "auto", "--core", tmp_path / "cores")
    assert code == 0, err
    assert made_in(out) == ["gas_mask_trimap.png", "gas_trimap.png"]
    assert (read_trimap(out / "gas_mask_trimap.png")[:6, :6] == 255).all()
    dry = run_matte("batch", photos, tmp_path / "mattes", "--trimaps", out, "--dry-run")
    assert dry[0] == 0, dry


def test_what_was_saved_beside_a_photo_gets_no_trimap(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name in ("cat.png", "cat_alpha.png", "sub/dog_alpha.png"):  # the dog lies in another folder
        write_screen(photos / name)
    code, _, err = run_matte("trimap", photos, out, "--key", "auto")
    assert (code, made_in(out)) == (0, ["cat_trimap.png", "sub/dog_alpha_trimap.png"]), err
    assert f"not taken for photos, as they were saved of photos beside them: {photos / 'cat_alpha.png'}" in err
    write_mask(tmp_path / "masks/cat.png")
    write_mask(tmp_path / "masks/cat_alpha.png")
    code, _, err = run_matte("trimap", tmp_path / "masks", tmp_path / "made")  # mattes are masks, too
    assert (code, made_in(tmp_path / "made")) == (0, ["cat_alpha_trimap.png", "cat_trimap.png"]), err


def test_linked_folders_are_followed_and_what_cannot_be_read_fails_by_name(tmp_path: Path, run_matte: RunMatte) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / "a.png")
    write_mask(tmp_path / "elsewhere/b.png")
    (masks / "linked").symlink_to(tmp_path / "elsewhere")
    (masks / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (masks / "raw.dng").write_bytes(b"x")
    code, _, err = run_matte("trimap", masks, out)
    assert code == 1
    assert "gone.png cannot be read (No such file" in err
    assert f"pictures of formats that are not taken from folders: {masks}/raw.dng" in err
    assert "2 done, 0 there already, 1 failed" in err
    assert made_in(out) == ["a_trimap.png", "linked/b_trimap.png"]


def test_a_link_out_of_the_output_folder_is_not_followed(tmp_path: Path, run_matte: RunMatte) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    for name in ("a.png", "b.png", "sub/c.png"):
        write_mask(masks / name)
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / "a_trimap.png").symlink_to("../escaped.png")
    (out / "sub").symlink_to(tmp_path / "elsewhere")
    code, _, err = run_matte("trimap", masks, out)
    assert code == 1
    assert err.count("leads out of the output folder") == 2
    assert "1 done, 0 there already, 2 failed" in err
    assert not (tmp_path / "escaped.png").exists()
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_trimap_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / "a.png")

    def make(self: MaskRecipe, *given: Any, **options: Any) -> Any:
        (out / "a_trimap.png").write_text("theirs")
        return MAKE(self, *given, **options)

    monkeypatch.setattr(MaskRecipe, "make", make)
    code, _, err = run_matte("trimap", masks, out)
    assert (code, "a_trimap.png exists already" in err) == (1, True), err
    assert (out / "a_trimap.png").read_text() == "theirs"
    (out / "a_trimap.png").unlink()
    assert run_matte("trimap", masks, out, "--overwrite")[0] == 0
    assert read_trimap(out / "a_trimap.png").any()


def test_a_name_that_is_too_long_fails_alone(tmp_path: Path, run_matte: RunMatte) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / f"{'a' * 246}.png")
    write_mask(masks / "b.png")
    code, _, err = run_matte("trimap", masks, out)
    assert code == 1
    assert "cannot be written: the name is too long for its disk" in err
    assert made_in(out) == ["b_trimap.png"]


def test_cores_in_the_masks_own_folder_are_not_masks(tmp_path: Path, run_matte: RunMatte) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / "a_mask.png")
    write_mask(masks / "a_core.png", x=10)
    code, _, err = run_matte("trimap", masks, out, "--core", masks)
    assert (code, made_in(out)) == (0, ["a_trimap.png"]), err
    assert read_trimap(out / "a_trimap.png")[30, 2] == 255


@pytest.mark.parametrize("where", ["cores", "coers/{stem}.png"])
def test_cores_of_no_mask_are_refused_and_those_left_over_told(tmp_path: Path, run_matte: RunMatte, where: str) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    write_mask(masks / "a.png")
    other = write_mask(tmp_path / "cores/b.png")
    code, _, err = run_matte("trimap", masks, out, "--core", tmp_path / where)
    assert (code, out.exists()) == (3, False)
    assert "has a core mask in" in err
    shutil.copy(other, tmp_path / "cores/a_core.png")
    code, _, err = run_matte("trimap", masks, out, "--core", tmp_path / "cores")
    assert code == 0
    assert f"core masks that belong to no mask: {other}" in err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "b.png needs more memory than there is"),
        (KeyError("x"), "b.png met a bug in matte: KeyError: 'x'; please report it"),
    ],
)
def test_a_mask_that_meets_a_bug_or_full_memory_fails_alone(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    for name in ("a", "b", "c"):
        write_mask(masks / f"{name}.png")

    def make(self: MaskRecipe, *args: Any, name: str, **options: Any) -> Any:
        if name.endswith("b.png"):
            raise error
        return MAKE(self, *args, name=name, **options)

    monkeypatch.setattr(MaskRecipe, "make", make)
    code, _, err = run_matte("trimap", masks, out)
    assert (code, made_in(out)) == (1, ["a_trimap.png", "c_trimap.png"])
    assert sentence in err
    assert "2 done, 0 there already, 1 failed" in err
