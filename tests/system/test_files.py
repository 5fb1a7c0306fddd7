"""Files that are whole or not there, and what killed processes leave."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mattecli.errors import InputError
from mattecli.system import files
from tests.support.permissions import lock


def left_by(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_dead_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    name = f"from mattecli.system.files import hidden_beside; hidden = hidden_beside(Path({str(tmp_path / 'a')!r}))"
    left_by(f"from pathlib import Path; {name}; hidden.touch()")
    (dead,) = tmp_path.iterdir()
    alive = files.hidden_beside(tmp_path / "b.png")
    elsewhere = tmp_path / dead.name.replace(files._HOST, "0" * 8)
    kept = [alive, elsewhere, tmp_path / "c.png", tmp_path / ".matte-notes.tmp"]
    for path in kept:
        path.touch()
    assert files.sweep(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_another_machines_file_is_swept_after_a_day(tmp_path: Path) -> None:
    path = tmp_path / files.hidden_beside(tmp_path / "a").name.replace(files._HOST, "0" * 8)
    path.touch()
    os.utime(path, (time.time() - 90_000,) * 2)
    assert files.sweep(tmp_path) == 1


def test_a_process_with_a_dead_ones_number_does_not_keep_its_files(tmp_path: Path) -> None:
    host, number, _, word = files.hidden_beside(tmp_path / "a").name.removeprefix(".matte-").split("-")
    (tmp_path / f".matte-{host}-{number}-12345678-{word}").touch()  # in a container numbers come again
    assert files.sweep(tmp_path) == 1


@pytest.mark.parametrize("age", [3600, 200_000])
def test_a_running_process_keeps_its_files_though_the_clock_of_their_server_is_behind(
    tmp_path: Path, age: float
) -> None:
    with files.whole_file(tmp_path / "a.txt") as handle:
        (hidden,) = tmp_path.iterdir()
        os.utime(hidden, (time.time() - age,) * 2)
        code = "import sys; from pathlib import Path; from mattecli.system.files import sweep; sweep(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert files.sweep(tmp_path) == 0
        handle.write(b"whole")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


def test_files_of_older_versions_are_swept_when_their_process_has_ended_or_they_are_a_day_old(tmp_path: Path) -> None:
    host = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
    running, old, dead, elsewhere = (
        tmp_path / f".matte-{name}-0123456789abcde{number}.tmp"
        for number, name in enumerate([*[f"{host}-{os.getpid()}"] * 2, f"{host}-4000000", "00000000-1"])
    )
    for path in (running, old, dead, elsewhere):
        path.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    assert files.sweep(tmp_path) == 2
    assert sorted(tmp_path.iterdir()) == sorted([running, elsewhere])


def test_a_missing_folder_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert files.sweep(tmp_path / "nowhere") == 0


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with files.whole_file(target) as handle:
        handle.write(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one"
    with pytest.raises(ZeroDivisionError), files.whole_file(target) as handle:
        handle.write(b"two" * (1 // 0))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.txt", b"one")]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        real(descriptor)
        synced.append((tmp_path / "a.txt").exists())

    monkeypatch.setattr(os, "fsync", sync)
    with files.whole_file(tmp_path / "a.txt") as handle:
        handle.write(b"one")
    assert synced == [False]


def test_windows_is_asked_again_where_another_program_reads_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, real = [PermissionError(13, "Access is denied")] * 3, Path.replace

    def replace(path: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError), files.whole_file(tmp_path / "a.txt") as handle:
        handle.write(b"one")
    monkeypatch.setattr(files.sys, "platform", "win32")
    with files.whole_file(tmp_path / "a.txt") as handle:
        handle.write(b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.txt", b"two")]


def test_a_file_that_is_not_to_be_replaced_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"theirs")
    with pytest.raises(FileExistsError), files.whole_file(tmp_path / "a.txt", overwrite=False) as handle:
        handle.write(b"ours")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.txt", b"theirs")]


def test_a_folder_for_outputs_is_made_unless_a_file_stands_there(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    (tmp_path / "c").touch()
    with pytest.raises(InputError, match=r"c cannot be created \(File exists\); name another"):
        files.make_folder(tmp_path / "c")
    assert (tmp_path / "a" / "b").is_dir()


def test_names_that_lead_to_one_file_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.same_file("new.png", tmp_path / "." / "new.png")
    assert not files.same_file("new.png", "other.png")
    Path("here.png").touch()
    os.link("here.png", "hard.png")
    assert files.same_file("here.png", tmp_path / "hard.png")


def test_a_name_that_is_too_long_is_an_error_of_the_file(tmp_path: Path) -> None:
    for target in (tmp_path / f"{'a' * 260}.png", tmp_path / ("a" * 260) / "b.png"):
        with pytest.raises(InputError, match=r"cannot be written: the name is too long for its disk; name another"):
            files.check_target(target, overwrite=False)


def test_a_digest_of_content_follows_a_file_that_is_replaced_with_its_size_and_time(tmp_path: Path) -> None:
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(b"before")
    os.utime(path, (1000, 1000))
    digests = [files.content_digest(path)]
    other.write_bytes(b"behind")
    os.utime(other, (1000, 1000))
    other.replace(path)
    digests.append(files.content_digest(path))
    assert digests == [hashlib.sha256(content).hexdigest() for content in (b"before", b"behind")]


def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    lock(closed, 0, monkeypatch)
    for target in (closed / "a.png", closed / "sub" / "a.png"):
        with pytest.raises(
            InputError, match=r"a\.png cannot be written: the folder .*closed.* (not writable|may not be)"
        ):
            files.check_target(target, overwrite=False)
    with pytest.raises(InputError, match="cannot be created"):
        files.check_folder(closed / "sub")
    assert not files.is_folder(closed / "sub")
    assert not files.is_there("a" * 300)
    assert files.absence(closed / "sub") == f"cannot be reached, because the folder {closed} may not be entered"
    assert files.absence(tmp_path / "none") == "does not exist"
    closed.chmod(0o700)
