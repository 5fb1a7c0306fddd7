"""Pictures in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from mattecli.errors import InputError
from mattecli.system.folders import by_stem, folds_case, natural, pictures_in, some


def test_only_visible_pictures_are_listed(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path, {".png", ".jpg"})] == ["a.jpg", "b.PNG"]
    with pytest.raises(InputError, match="cannot be read as a folder"):
        pictures_in(tmp_path / "a.jpg", {".png"})


def test_files_group_by_name_without_suffix_and_ending() -> None:
    paths = [Path("a.png"), Path("a_trimap.jpg"), Path("b.png")]
    assert by_stem(paths, ending="_trimap") == {"a": paths[:2], "b": paths[2:]}


def test_names_with_numbers_sort_as_people_count() -> None:
    names = ["net_10", "net_9", "cat", "net_2_x", "10", "9", "net"]
    assert sorted(names, key=natural) == ["9", "10", "cat", "net", "net_2_x", "net_9", "net_10"]


def test_long_lists_of_names_are_cut() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_whether_a_disk_knows_capitals_is_found_without_writing(tmp_path: Path) -> None:
    known = not (tmp_path.parent / tmp_path.name.swapcase()).exists()
    (tmp_path / "Probe").touch()
    for folder in (tmp_path, tmp_path / "still" / "to be made"):
        assert folds_case(folder) is not known
    if known:
        (tmp_path / "pROBE").touch()
        assert not folds_case(tmp_path)
    assert not (tmp_path / "still").exists()
