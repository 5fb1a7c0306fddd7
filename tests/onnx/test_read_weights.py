from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mattecli.errors import WeightsError
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, save_a2u
from mattecli.network.fold import fold_norms as fold_network
from mattecli.onnx import read_weights as weights
from mattecli.onnx.read_weights import fold_norms, read_weights
from mattecli.weights import find_checkpoint
from tests.support.reference import seeded_network


def test_folding_is_that_of_the_network() -> None:
    net = seeded_network(1, shared=False)
    ours = fold_norms({name: tensor.numpy() for name, tensor in net.state_dict().items()})
    theirs = {name: tensor.numpy() for name, tensor in fold_network(net).state_dict().items()}
    assert set(ours) == set(theirs)
    for name, array in ours.items():
        assert np.allclose(array, theirs[name], rtol=1e-6, atol=1e-7), name


def test_a_pytorch_file_and_16_bit_brain_floats_are_read_too(tmp_path: Path) -> None:
    net = load_a2u(find_checkpoint().path)
    torch.save(net.state_dict(), tmp_path / "a2u.pth")
    save_a2u(net, tmp_path / "half.safetensors", dtype=torch.bfloat16)
    shipped = read_weights(find_checkpoint().path)
    for path, tolerance in ((tmp_path / "a2u.pth", 0.0), (tmp_path / "half.safetensors", 0.02)):
        found = read_weights(path)
        assert set(found) == set(shipped)
        name = "layer1.block1.convs.conv1.weight"
        assert np.abs(found[name] - shipped[name]).max() <= tolerance * np.abs(shipped[name]).max()


def test_a_file_of_parameters_that_take_gradients_is_read_too(tmp_path: Path) -> None:
    state = load_a2u(find_checkpoint().path).state_dict()
    torch.save({name: torch.nn.Parameter(tensor) for name, tensor in state.items()}, tmp_path / "a2u.pth")
    found, shipped = read_weights(tmp_path / "a2u.pth"), read_weights(find_checkpoint().path)
    assert all(np.array_equal(found[name], shipped[name]) for name in shipped)
    loaded = load_a2u(tmp_path / "a2u.pth").state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_files_that_do_not_serve_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"none.safetensors is not there"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"none.onnx is not there; `matte export-onnx` writes it"):
        read_weights(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\xffno model" * 9)
    with pytest.raises(WeightsError, match=r"bad.onnx .*export it"):
        read_weights(tmp_path / "bad.onnx")
    save_file({"some": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no A2U network"):
        read_weights(tmp_path / "other.safetensors")
    save_a2u(A2UNet(upsampling="nearest"), tmp_path / "nearest.safetensors")
    with pytest.raises(WeightsError, match="only `backend=torch`"):
        read_weights(tmp_path / "nearest.safetensors")
    torch.save(load_a2u(find_checkpoint().path).state_dict(), tmp_path / "a2u.pth")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda _: None)  # as where PyTorch is not installed
    with pytest.raises(WeightsError, match=r"a2u.pth cannot be read without PyTorch .* `matte weights convert`"):
        read_weights(tmp_path / "a2u.pth")


def test_values_that_are_not_finite_are_found(tmp_path: Path) -> None:
    state = {name: tensor.numpy().copy() for name, tensor in load_a2u(find_checkpoint().path).state_dict().items()}
    state["short0.0.weight"][0] = np.nan
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match=r"short0.0.weight holds values that are not finite"):
        read_weights(tmp_path / "nan.safetensors")
    state["short0.0.weight"][0] = 0
    del state["short0.1.running_var"]
    save_file(state, tmp_path / "lacking.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit the A2U network: short0.1.running_var is missing"):
        read_weights(tmp_path / "lacking.safetensors")
    state["short0.1.running_var"] = np.ones(3, np.float32)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"short0.1.running_var is \(3,\) instead of \(64,\)"):
        read_weights(tmp_path / "other.safetensors")


def test_a_file_with_the_names_of_data_parallel_is_read_as_pytorch_reads_it(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor.numpy() for name, tensor in load_a2u(find_checkpoint().path).state_dict().items()}
    state["module.layer0.bn1.num_batches_tracked"] = np.zeros((), np.int64)
    save_file(state, tmp_path / "authors.safetensors")
    found, shipped = read_weights(tmp_path / "authors.safetensors"), read_weights(find_checkpoint().path)
    assert set(found) == set(shipped)
    for name, tensor in shipped.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
