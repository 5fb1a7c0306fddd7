"""The network's weights as NumPy arrays, without PyTorch, their norms folded into the convolutions before them."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mattecli.errors import WeightsError
from mattecli.weights import DEFAULT, find_checkpoint

EPS = 1e-5
# The convolution before a norm, by the last part of their names.
NORMED = {"1": "0", "2": "1", "3": "2", "bn1": "conv1", "bn2": "conv2", "proj_bn": "proj_conv"}
VARIANT = "bilinear0.bconv_U.1.weight"  # has one row in the shared variant
PRODUCER = "mattecli"

State = dict[str, NDArray[np.float32]]


def read_weights(path: Path) -> State:
    """The folded weights of a checkpoint, or of a file that `matte export-onnx` wrote.

    Raises WeightsError when the file is missing, damaged, of another network, or of a kind that only PyTorch reads and
    that is not there.
    """
    if path.suffix == ".onnx":
        return _from_onnx(path)
    state = _from_checkpoint(path)
    if VARIANT not in state:
        raise WeightsError(f"{path} holds no A2U network (no tensor {VARIANT}); point --weights at an A2U file")
    if "upsampling_taps" in state:
        raise WeightsError(f"{path} does not upsample by affinity, which only --backend torch runs; use that")
    for problem in _misfits(state):
        raise WeightsError(f"{path} does not fit the A2U network: {problem}; point --weights at an A2U file")
    return fold_norms(state)


def fold_norms(state: Mapping[str, NDArray[np.floating]]) -> State:
    """A checkpoint's tensors without norms: convolutions with a weight and a bias that do both (see network/fold.py).

    Scale and shift are worked out in float64.
    """
    folded = {name: np.asarray(array, np.float64) for name, array in state.items()}
    for name in [name for name in state if name.endswith(".running_mean")]:
        norm = name.removesuffix(".running_mean")
        parent, _, last = norm.rpartition(".")
        conv = f"{parent}.{NORMED[last]}"
        weight, bias, mean, variance = (
            folded.pop(f"{norm}.{kind}") for kind in ("weight", "bias", "running_mean", "running_var")
        )
        scale = (np.abs(weight) + EPS) / np.sqrt(variance + EPS)  # InPlace-ABN's positive scale
        folded[f"{conv}.weight"] = folded[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{conv}.bias"] = bias - mean * scale
    return {name: array.astype(np.float32) for name, array in folded.items()}


def _misfits(state: Mapping[str, NDArray[np.floating]]) -> Iterator[str]:
    """What is wrong with a checkpoint's tensors, against those in the box."""
    with safe_open(find_checkpoint(DEFAULT).path, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    shared = state[VARIANT].shape[0] == 1
    for name, shape in shapes.items():
        if not shared and re.search(r"bconv_[UV]\.1\.", name):  # one kernel for each channel
            channels = shapes[re.sub(r"bconv_[UV]\.1\..*", "bnu.0.weight", name)][0]
            shapes[name] = (channels, *shape[1:])
    yield from (f"{name} is missing" for name in shapes if name not in state)
    for name, array in state.items():
        if name not in shapes:
            yield f"{name} is unknown"
        elif array.shape != shapes[name]:
            yield f"{name} is {array.shape} instead of {shapes[name]}"
        elif not np.isfinite(array).all():
            yield f"{name} holds values that are not finite"


def metadata(path: Path) -> dict[str, str]:
    """What an exported file says of itself; empty for one that we did not write."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own, which is not to be imported
        raise WeightsError(f"{path} is damaged or no ONNX file; export it again") from error
    return _facts(model)


def _facts(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props} if model.producer_name == PRODUCER else {}


def _from_onnx(path: Path) -> State:
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise WeightsError(f"{path} is not there; `matte export-onnx` writes it")
    try:
        model = onnx.load(path)
        facts = _facts(model)
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    except Exception as error:
        raise WeightsError(f"{path} is damaged or no ONNX file; export it again") from error
    names = json.loads(facts.get("weights_tensors", "[]"))
    if not names or any(name not in tensors for name in names):
        raise WeightsError(f"{path} was not written by `matte export-onnx`, so its parts are unknown; export it anew")
    return {name: tensors[name].astype(np.float32) for name in names}


def _from_checkpoint(path: Path) -> dict[str, NDArray[np.floating]]:
    if not path.is_file():
        raise WeightsError(f"{path} is not there; `matte weights list` shows the checkpoints in the box")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, TypeError, AttributeError, KeyError) as error:
        # another kind of file, or types that NumPy lacks
        if importlib.util.find_spec("torch") is None:
            raise WeightsError(
                f"{path} cannot be read without PyTorch ({error}); use `matte weights convert` where that is"
            ) from error
    from mattecli.network.checkpoint import read_state_dict

    return {name: tensor.float().numpy() for name, tensor in read_state_dict(path).items()}
