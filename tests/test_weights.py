import hashlib
import shutil
from pathlib import Path

import pytest

from mattecli import weights
from mattecli.errors import WeightsError
from mattecli.network.checkpoint import load_a2u
from tests.support.permissions import lock


def test_bundled_checkpoints_are_as_listed() -> None:
    checkpoints = weights.shipped()
    assert weights.DEFAULT in [checkpoint.name for checkpoint in checkpoints]
    for checkpoint in checkpoints:
        checkpoint.verify()
        assert checkpoint.path.stat().st_size <= 20_000_000
        assert checkpoint.card is not None
        assert checkpoint.sha256 in checkpoint.card.read_text(encoding="utf-8")


def test_default_checkpoint_loads() -> None:
    assert load_a2u(weights.find_checkpoint().path).shared


def test_a_checkpoint_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = weights.find_checkpoint(weights.DEFAULT)
    assert weights.find_checkpoint(by_name.path) == by_name
    monkeypatch.chdir(by_name.path.parent)
    assert weights.find_checkpoint(by_name.path.name) == by_name
    (tmp_path / "link.safetensors").symlink_to(by_name.path)
    assert weights.find_checkpoint(tmp_path / "link.safetensors") == by_name
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"anything")
    found = weights.find_checkpoint(mine)
    assert (found.name, found.expected) == ("mine", None)
    assert found.sha256 == hashlib.sha256(b"anything").hexdigest()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"a3u is neither a file nor a bundled checkpoint \(.*a2u_shared.*\)"):
        weights.find_checkpoint("a3u")


def test_an_empty_name_is_refused_and_not_the_default() -> None:
    with pytest.raises(WeightsError, match="the name of the weights is empty; name a file or a bundled checkpoint"):
        weights.find_checkpoint("")


def test_a_file_of_ones_own_needs_no_bundled_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"anything")
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "mattecli" / "weights.py"))
    assert weights.find_checkpoint(mine).path == mine
    told = r"there are no weights beside .*; install mattecli again, or name a file as `weights`$"
    with pytest.raises(WeightsError, match=f"^{told}"):
        weights.find_checkpoint()
    with pytest.raises(WeightsError, match=rf"typo\.safetensors is not a file, and {told}"):
        weights.find_checkpoint(tmp_path / "typo.safetensors")
    with pytest.raises(WeightsError, match=r"typo\.safetensors is not there; give .*`matte weights list` shows"):
        load_a2u(tmp_path / "typo.safetensors")


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "a\udcff\0"])
def test_a_name_that_no_file_can_have_is_an_error_of_ours(name: str) -> None:
    with pytest.raises(WeightsError, match=r"^a.* cannot be read .*; check the path$"):
        weights.find_checkpoint(name)


def test_weights_in_a_folder_that_may_not_be_entered_are_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "mine.pth").write_bytes(b"anything")
    lock(tmp_path / "closed", 0o600, monkeypatch)
    with pytest.raises(WeightsError, match=r"mine\.pth .*; check the path$"):
        weights.find_checkpoint(tmp_path / "closed" / "mine.pth")


def test_a_damaged_bundled_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(weights.folder(), tmp_path / "weights")
    monkeypatch.setattr(weights, "folder", lambda: tmp_path / "weights")
    path = weights.find_checkpoint().path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="install mattecli again"):
        weights.find_checkpoint()


def test_bundled_weights_that_git_did_not_fetch_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(weights.folder(), tmp_path / "weights")
    monkeypatch.setattr(weights, "folder", lambda: tmp_path / "weights")
    path = weights.find_checkpoint().path
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 16000000\n")
    with pytest.raises(WeightsError) as caught:
        weights.find_checkpoint()
    assert str(caught.value) == (
        f"{path} is a Git LFS pointer, which stands for weights that were not fetched; run `git lfs pull` in the clone"
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0123", b"two words", b"<html> not found </html> 404"])
def test_a_damaged_list_of_the_bundled_checkpoints_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(content)
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    for look in (weights.shipped, weights.find_checkpoint):
        with pytest.raises(WeightsError, match=r"SHA256SUMS is damaged \(.*\); install mattecli again"):
            look()


def test_a_bundled_checkpoint_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a2u\.safetensors cannot be read \(No such file or directory\); install"):
        _ = weights.Checkpoint(tmp_path / "a2u.safetensors", "00").size
