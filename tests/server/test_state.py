from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mattecli.errors import InputError
from mattecli.server.state import States, digest_of, state_folder


def photo(folder: Path, content: bytes = b"a photo") -> Path:
    (folder / "photo.jpg").write_bytes(content)
    return folder / "photo.jpg"


def test_the_state_folder_is_where_the_user_keeps_states(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "mattecli"


def test_progress_is_known_by_the_path_without_reading_the_photo(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    assert states.progress(path) == "untouched"
    state = states.of(path, digest_of(path))
    assert states.progress(path) == "untouched"
    state.note(painted=3)
    assert states.progress(path) == "started"
    state.note(saved=3)
    assert states.progress(path) == "done"
    state.note(painted=4)
    assert states.progress(path) == "started"


def test_a_photo_that_changed_is_untouched_and_the_same_content_elsewhere_is_not(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    states.of(path, digest_of(path)).note(painted=1)
    renamed = path.rename(tmp_path / "other.jpg")
    assert states.of(renamed, digest_of(renamed)).progress == "started"
    renamed.write_bytes(b"another photo")
    assert states.progress(renamed) == "untouched"


def test_a_photo_is_held_once_at_a_time(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    state = states.of(path, digest_of(path))
    with state.locked() as held:
        assert held
        with states.of(path, digest_of(path)).locked() as other:
            assert not other
    with state.locked() as held:
        assert held


def test_a_damaged_file_of_facts_counts_as_empty(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    state = states.of(path, digest_of(path))
    (state.folder / "facts.json").write_bytes(b"{")
    assert state.facts == {}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    with pytest.raises(InputError, match="state"):
        States(tmp_path / "state")


def test_a_photo_whose_folder_was_deleted_is_free(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    state = states.of(path, digest_of(path))
    shutil.rmtree(state.folder)
    assert state.free


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    states, path = States(tmp_path / "state"), photo(tmp_path)
    state = states.of(path, digest_of(path))
    (state.folder / "lock").mkdir()
    with pytest.raises(InputError, match="lock cannot be opened"), state.locked():
        pass
