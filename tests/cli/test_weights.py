from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mattecli.network.checkpoint import load_a2u, read_state_dict
from mattecli.weights import DEFAULT, find_checkpoint
from tests.conftest import RunMatte
from tests.support.reference import seeded_network


@pytest.fixture
def published(tmp_path: Path) -> Path:
    state = {f"module.{name}": tensor for name, tensor in seeded_network(8, shared=False).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a2u.pth")
    return tmp_path / "a2u.pth"


def test_list_names_each_checkpoint_and_its_hash(run_matte: RunMatte) -> None:
    code, out, _ = run_matte("weights", "list")
    assert code == 0
    assert f"* {DEFAULT}" in out
    assert find_checkpoint().sha256 in out
    rows = json.loads(run_matte("weights", "list", "--json")[1])
    assert [row["name"] for row in rows if row["default"]] == [DEFAULT]


def test_a_model_card_need_not_be_utf_8(run_matte: RunMatte, published: Path) -> None:
    published.with_suffix(".md").write_bytes(b"Caf\xe9 weights\n")
    code, out, err = run_matte("weights", "show", published)
    assert (code, "Caf\N{REPLACEMENT CHARACTER} weights" in out) == (0, True), err


def test_show_tells_what_a_checkpoint_holds(run_matte: RunMatte, published: Path) -> None:
    code, out, _ = run_matte("weights", "show")
    assert code == 0
    assert "variant: shared" in out
    assert "parameters: 8089235" in out
    assert "Apache-2.0" in out  # the model card follows
    facts = json.loads(run_matte("weights", "show", published, "--json")[1])
    assert (facts["variant"], facts["parameters"], facts["stored as"]) == ("unshared", 8269451, "float32")


def test_verify_takes_the_box_and_files(run_matte: RunMatte, published: Path) -> None:
    code, _, err = run_matte("weights", "verify")
    assert code == 0
    assert "as shipped, shared" in err
    code, _, err = run_matte("weights", "verify", published)
    assert code == 0
    assert "fits the network, unshared" in err


def test_verify_fails_on_a_damaged_file(run_matte: RunMatte, published: Path) -> None:
    published.write_bytes(published.read_bytes()[:100_000])
    code, _, err = run_matte("weights", "verify", published)
    assert code == 4
    assert "a2u.pth" in err


@pytest.mark.parametrize(("option", "dtype"), [("--full", torch.float32), ("--half", torch.float16)])
def test_convert_writes_the_same_network_as_safetensors(
    run_matte: RunMatte, published: Path, tmp_path: Path, option: str, dtype: torch.dtype
) -> None:
    target = tmp_path / "a2u.safetensors"
    code, out, _ = run_matte("weights", "convert", published, target, option, "--json")
    facts = json.loads(out)
    assert (code, facts["source"], facts["file"]) == (0, str(published), str(target))
    assert (facts["variant"], facts["stored as"]) == ("unshared", str(dtype).removeprefix("torch."))
    assert run_matte("weights", "convert", DEFAULT, tmp_path / "box.safetensors", option)[0] == 0
    assert load_a2u(tmp_path / "box.safetensors").shared
    stored, net = read_state_dict(target), seeded_network(8, shared=False)
    assert all(torch.equal(stored[name], tensor.to(dtype)) for name, tensor in net.state_dict().items())
    assert not load_a2u(target).shared


def test_convert_refuses_what_is_in_the_way(run_matte: RunMatte, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "a2u.safetensors"
    target.write_bytes(b"mine")
    code, _, err = run_matte("weights", "convert", published, target)
    assert code == 3
    assert "exists" in err
    assert target.read_bytes() == b"mine"
    code, _, err = run_matte("weights", "convert", published, tmp_path / "a2u.bin")
    assert code == 2
    assert ".safetensors" in err


def test_convert_never_writes_to_its_source(run_matte: RunMatte, tmp_path: Path) -> None:
    source = tmp_path / "w.safetensors"
    shutil.copy(find_checkpoint().path, source)
    (tmp_path / "link.safetensors").symlink_to(source)
    before = source.read_bytes()
    for target in (source, tmp_path / "." / "w.safetensors", tmp_path / "link.safetensors"):
        code, _, err = run_matte("weights", "convert", source, target, "--full", "--overwrite")
        assert code == 3
        assert "is an input of this run and is never written to" in err
    assert source.read_bytes() == before


def test_convert_finds_a_missing_folder_before_it_reads_anything(run_matte: RunMatte, tmp_path: Path) -> None:
    target = tmp_path / "gone" / "a.safetensors"
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    assert run_matte("weights", "convert", tmp_path / "missing.pth", target)[0] == 4
    assert run_matte("weights", "convert", tmp_path / "broken.pth", target) == (
        *(3, ""),
        f"error: {target} cannot be written: the folder {target.parent} does not exist; create it first\n",
    )


@pytest.mark.parametrize("command", ["list", "show", "verify", "convert"])
def test_every_help_has_an_example(run_matte: RunMatte, command: str) -> None:
    assert f"Example: matte weights {command}" in run_matte("weights", command, "--help")[1]
