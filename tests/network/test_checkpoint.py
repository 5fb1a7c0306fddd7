from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from mattecli.errors import InputError, WeightsError
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, save_a2u
from mattecli.onnx.read_weights import read_weights
from tests.support.reference import seeded_network


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "unshared"])
def net(request: pytest.FixtureRequest) -> A2UNet:
    return seeded_network(7, shared=request.param)


def equal(one: A2UNet, other: A2UNet) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def as_published(net: A2UNet) -> dict[str, dict[str, Tensor]]:
    """The authors' layout: wrapped, prefixed, and with the counters that later training runs carry."""
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    return {"state_dict": {**state, "module.layer0.1.num_batches_tracked": torch.tensor(5)}}


def test_published_checkpoint_loads(net: A2UNet, tmp_path: Path) -> None:
    torch.save(as_published(net), tmp_path / "a2u.pth")
    loaded = load_a2u(tmp_path / "a2u.pth")
    assert equal(loaded, net)
    assert loaded.shared == net.shared
    assert not loaded.training


def test_old_pickle_of_cuda_tensors_loads_without_cuda(tmp_path: Path) -> None:
    net = seeded_network(7, shared=True)
    path = tmp_path / "old.pth"
    torch.save(as_published(net), path, _use_new_zipfile_serialization=False)
    # What PyTorch 1.3 wrote for a tensor on the first card, in place of the CPU's storage type and location.
    content = path.read_bytes()
    content = content.replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n")
    assert b"ctorch.cuda\nFloatStorage\n" in content
    content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert b"cuda:0" in content
    path.write_bytes(content)
    assert equal(load_a2u(path), net)


def test_plain_state_dict_and_safetensors_load(net: A2UNet, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    save_file(net.state_dict(), tmp_path / "whole.safetensors")
    assert equal(load_a2u(tmp_path / "plain.pt"), net)
    assert equal(load_a2u(tmp_path / "whole.safetensors"), net)


def test_safetensors_are_told_by_content(tmp_path: Path) -> None:
    net = seeded_network(7, shared=True)
    save_file(net.state_dict(), tmp_path / "renamed.bin")
    assert equal(load_a2u(tmp_path / "renamed.bin"), net)


def test_saved_network_loads_again_within_16_bits(tmp_path: Path) -> None:
    net = seeded_network(7, shared=True)
    save_a2u(net, tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 17_000_000
    loaded = load_a2u(tmp_path / "half.safetensors").state_dict()
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded[name], tensor.half().float()), name
    save_a2u(net, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "half.safetensors").read_bytes()


def test_a_value_that_16_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    state = seeded_network(7, shared=True).state_dict()
    state["layer0.1.running_var"] = torch.full((64,), 1e6)
    with pytest.raises(WeightsError, match=r"layer0\.1\.running_var holds values that torch\.float16 cannot"):
        save_a2u(state, tmp_path / "half.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_a2u(seeded_network(7, shared=True), tmp_path / "missing" / "half.safetensors")


def test_a_file_that_appeared_is_replaced_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(b"theirs")
    with pytest.raises(InputError, match=r"half\.safetensors exists already; name another output"):
        save_a2u(seeded_network(7, shared=True), path, overwrite=False)
    assert path.read_bytes() == b"theirs"


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    torch.save(
        {"state_dict": {"layer0.0.weight": Bomb(tmp_path / "owned")}},
        tmp_path / "bad.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(WeightsError, match=r"bad\.pth would run code when loaded.*\.safetensors"):
        load_a2u(tmp_path / "bad.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "owned")))
    with pytest.raises(WeightsError, match=r"raw\.pth"):
        load_a2u(tmp_path / "raw.pth")
    assert not (tmp_path / "owned").exists()


def test_a_file_that_is_not_a_checkpoint_is_named(tmp_path: Path) -> None:
    net = seeded_network(7, shared=True)
    torch.save(net.state_dict(), tmp_path / "whole.pth")
    save_a2u(net, tmp_path / "whole.safetensors")
    for name in ("whole.pth", "whole.safetensors"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "note.pth").write_text("not a checkpoint at all")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    for name in ("cut_whole.pth", "cut_whole.safetensors", "empty.pth", "note.pth", "list.pth", "missing.pth"):
        with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
            load_a2u(tmp_path / name)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "png")
    return file.getvalue()


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "text")
    return file.getvalue()


NOT_CHECKPOINTS = {
    "empty": (b"", "empty"),
    "one byte": (b"\x80", "only 1 byte long"),
    "web page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><title>Virus scan warning</title></html>", "a web page"),
    "web page in a comment": (b"<!-- mirror --><HTML><body>Not found</body></HTML>", "a web page"),
    "error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML file"),
    "words": (b"configuration of things\nand more words\n", "a text file"),
    "error": (b"404: Not Found, try again", "a text file"),
    "picture": (png(), "a PNG picture"),
    "index": (json.dumps({"weight_map": {"a": "b"}}).encode(), "JSON"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "a Git LFS pointer, which stands for a file that was not fetched",
    ),
    "archive": (zipped("readme.txt"), "a zip archive of other files"),
    "packed": (zipped("a2u/a2u.pth"), "a zip archive that holds a2u/a2u.pth"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
@pytest.mark.parametrize("case", NOT_CHECKPOINTS)
def test_a_file_that_is_something_else_is_called_what_it_is(tmp_path: Path, case: str, suffix: str) -> None:
    content, what = NOT_CHECKPOINTS[case]
    path = tmp_path / f"a2u{suffix}"
    path.write_bytes(content)
    remedies = {"pointer": "run `git lfs pull` in its clone", "archive": "download the checkpoint itself"}
    remedies["packed"] = "unpack it and name the checkpoint in it"
    sentence = f"{path} is not a checkpoint (it is {what}); {remedies.get(case, 'download it again')}"
    reads = [read_weights] if suffix == ".onnx" else [load_a2u, read_weights]
    for read in reads:
        with pytest.raises(WeightsError) as caught:
            read(path)
        assert str(caught.value) == sentence


@pytest.mark.parametrize("content", [bytes(4000), bytes(range(128, 256)) * 40, pickle.dumps({"a": [1, 2]}, 4)])
def test_bytes_that_call_nothing_are_not_said_to_run_code(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"odd\.pth is damaged or not a checkpoint; copy or download it again"):
        load_a2u(tmp_path / "odd.pth")


@pytest.mark.parametrize("local_name", [b"odd/data.pkl", b"\xffdd/data.pkl"])
def test_a_damaged_archive_is_called_damaged(tmp_path: Path, local_name: bytes) -> None:
    path = tmp_path / "odd.pth"
    torch.save({"a": [1, 2, 3]}, path)
    content = path.read_bytes()
    assert b"odd/data.pkl" in content
    assert b"\x80\x02}q" in content
    path.write_bytes(content.replace(b"odd/data.pkl", local_name, 1).replace(b"\x80\x02}q", b"\x80\x02\xffq"))
    with pytest.raises(WeightsError, match=r"odd\.pth is damaged or not a checkpoint; copy or download it again"):
        load_a2u(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("tail", [b"", b"\xff\x00 damaged", b" and plain words"])
def test_a_pickle_of_any_protocol_that_calls_something_would_run_code(
    tmp_path: Path, protocol: int, tail: bytes
) -> None:
    content = pickle.dumps({"state": Bomb(tmp_path / "owned")}, protocol)
    (tmp_path / "raw.pth").write_bytes(content[:-1] + tail if tail else content)
    with pytest.raises(WeightsError, match=r"raw\.pth would run code when loaded"):
        load_a2u(tmp_path / "raw.pth")
    assert not (tmp_path / "owned").exists()


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = seeded_network(7, shared=True).state_dict()
    changes = {
        "missing": {name: tensor for name, tensor in state.items() if name != "pred.1.weight"},
        "unknown": {**state, "extra.weight": torch.zeros(1)},
        "instead of": {**state, "pred.1.weight": torch.zeros(2, 1, 3, 3)},
        "not finite": {**state, "pred.1.weight": torch.full((1, 1, 3, 3), float("nan"))},
        "no A2U network": {"resnet.weight": torch.zeros(3)},
    }
    for words, changed in changes.items():
        torch.save(changed, tmp_path / "odd.pth")
        with pytest.raises(WeightsError, match=words):
            load_a2u(tmp_path / "odd.pth")


@pytest.mark.parametrize("name", ["locked.pth", "locked.safetensors"])
def test_a_checkpoint_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(b"secret")

    def locked(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", locked)  # the super-user reads whatever its permissions are
    with pytest.raises(WeightsError, match=rf"{name} cannot be read \(Permission denied\); check its permissions"):
        load_a2u(tmp_path / name)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_and_the_error_names_the_users_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        save_a2u(seeded_network(3, shared=True), tmp_path / "gone" / "a.safetensors")
    assert str(caught.value) == (
        f"{tmp_path / 'gone' / 'a.safetensors'} cannot be written (No such file or directory); "
        "choose a folder that is there, writable, and has room"
    )
