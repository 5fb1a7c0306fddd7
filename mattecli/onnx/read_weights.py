"""The network's weights as NumPy arrays, without PyTorch, their norms folded into the convolutions before them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

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

# What an exported file's metadata say.
FACTS = (
    *("variant", "stride", "normalisation", "pre_post", "precision", "ops"),
    *("weights", "weights_sha256", "weights_licence", "tool"),
)

State = dict[str, NDArray[np.float32]]
Shapes = dict[str, tuple[int, ...]]


def read_weights(path: Path) -> State:
    """The folded weights of a checkpoint, or of a file that `matte export-onnx` wrote.

    Raises WeightsError when the file is missing, damaged, of another network, or of a kind that only PyTorch reads and
    that is not there.
    """
    if path.suffix.lower() == ".onnx":
        return read_exported(path)[0]
    state = _from_checkpoint(path)
    if VARIANT not in state:
        raise WeightsError(f"{path} holds no A2U network (no tensor {VARIANT}); point --weights at an A2U file")
    if "upsampling_taps" in state:
        raise WeightsError(f"{path} does not upsample by affinity, which only --backend torch runs; use that")
    _check_fit(path, state, _shapes(shared=state[VARIANT].shape[0] == 1))
    return fold_norms(state)


def read_exported(path: Path) -> tuple[State, dict[str, str]]:
    """The weights in a file that `matte export-onnx` wrote, and what its metadata say; raises WeightsError."""
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise WeightsError(f"{path} is not there; `matte export-onnx` writes it")
    try:
        model = onnx.load(path)
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    except Exception as error:  # protobuf's own, which is not to be imported
        raise WeightsError(f"{path} is damaged or no ONNX file; export it again") from error
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name != PRODUCER or any(key not in facts for key in FACTS):
        raise WeightsError(f"{path} was not written by `matte export-onnx`, so its parts are unknown; export it anew")
    shapes = _folded(_shapes(shared=facts["variant"] == "shared"))
    state = {name: array.astype(np.float32) for name, array in tensors.items() if name in shapes}
    _check_fit(path, state, shapes)
    return state, facts


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


def _shapes(*, shared: bool) -> Shapes:
    """Names and shapes of a checkpoint's tensors, by the one in the box."""
    with safe_open(find_checkpoint(DEFAULT).path, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    for name, shape in shapes.items():
        if re.search(r"bconv_[UV]\.1\.", name):  # one kernel for all channels, or one for each
            channels = shapes[re.sub(r"bconv_[UV]\.1\..*", "bnu.0.weight", name)][0]
            shapes[name] = (1 if shared else channels, *shape[1:])
    return shapes


def _folded(shapes: Shapes) -> Shapes:
    """The same after `fold_norms`."""
    empty = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    return {name: array.shape for name, array in fold_norms(empty).items()}


def _check_fit(path: Path, state: Mapping[str, NDArray[np.floating]], shapes: Shapes) -> None:
    """Raise WeightsError for the first thing that is wrong."""
    problems = [f"{name} is missing" for name in shapes if name not in state]
    for name, array in state.items():
        if name not in shapes:
            problems.append(f"{name} is unknown")
        elif array.shape != shapes[name]:
            problems.append(f"{name} is {array.shape} instead of {shapes[name]}")
        elif not np.isfinite(array).all():
            problems.append(f"{name} holds values that are not finite")
    if problems:
        raise WeightsError(f"{path} does not fit the A2U network: {problems[0]}; point --weights at an A2U file")


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
