"""The network's weights as NumPy arrays, with norms folded in.

PyTorch is not needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mattecli.errors import WeightsError
from mattecli.network.tensors import check_fit, fold_norm, is_shared, own_names
from mattecli.spec import CONV_BEFORE, TAPS, Shapes, tensor_shapes
from mattecli.weights import check_content

PRODUCER = "mattecli"

# Keys of an exported file's metadata.
FACTS = (
    *("variant", "stride", "normalisation", "pre_post", "precision", "ops"),
    *("weights", "weights_sha256", "weights_licence", "tool"),
)

State = dict[str, NDArray[np.float32]]


def read_weights(path: Path) -> State:
    """The folded weights of a checkpoint, or of a file that `matte export-onnx` wrote.

    Raises WeightsError when the file is missing, damaged, of another network, or of a kind that only PyTorch reads
    while PyTorch is not installed.
    """
    if path.suffix.lower() == ".onnx":
        return read_exported(path)[0]
    state = _from_checkpoint(path)
    shared = is_shared(path, state)
    if TAPS in state:
        raise WeightsError(f"{path} does not upsample by affinity; only `backend=torch` runs it")
    check_fit(path, tensor_shapes(shared=shared), state, is_finite=_is_finite)
    return fold_norms(state)


def read_exported(path: Path) -> tuple[State, dict[str, str]]:
    """The weights and the metadata of a file that `matte export-onnx` wrote; raises WeightsError."""
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise WeightsError(f"{path} is not there; `matte export-onnx` writes it")
    check_content(path)
    try:
        model = onnx.load(path)
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    except Exception as error:  # protobuf's own class is private
        raise WeightsError(f"{path} is damaged or not an ONNX file; export it again") from error
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name != PRODUCER or any(key not in facts for key in FACTS):
        raise WeightsError(
            f"{path} was not written by `matte export-onnx`, so its tensors are unknown; export the checkpoint again"
        )
    shapes = _folded(tensor_shapes(shared=facts["variant"] == "shared"))
    state = {name: array.astype(np.float32) for name, array in tensors.items() if name in shapes}
    check_fit(path, shapes, state, is_finite=_is_finite)
    return state, facts


def fold_norms(state: Mapping[str, NDArray[np.floating]]) -> State:
    """A checkpoint's tensors with each batch norm folded, in float64, into the convolution before it.

    Such a convolution has a weight and a bias; its norm's tensors are gone. `mattecli/network/fold.py` does the same to
    PyTorch's modules.
    """
    folded = {name: np.asarray(array, np.float64) for name, array in state.items()}
    for name in [name for name in state if name.endswith(".running_mean")]:
        norm = name.removesuffix(".running_mean")
        parent, _, last = norm.rpartition(".")
        conv = f"{parent}.{CONV_BEFORE[last]}"
        arrays = [folded.pop(f"{norm}.{kind}") for kind in ("weight", "bias", "running_mean", "running_var")]
        folded[f"{conv}.weight"], folded[f"{conv}.bias"] = fold_norm(folded[f"{conv}.weight"], *arrays)
    return {name: array.astype(np.float32) for name, array in folded.items()}


def _folded(shapes: Shapes) -> Shapes:
    """Names and shapes after `fold_norms`."""
    empty = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    return {name: array.shape for name, array in fold_norms(empty).items()}


def _is_finite(array: NDArray[np.floating]) -> bool:
    return bool(np.isfinite(array).all())


def _from_checkpoint(path: Path) -> dict[str, NDArray[np.floating]]:
    if not path.is_file():
        raise WeightsError(f"{path} is not there; `matte weights list` shows the bundled checkpoints")
    check_content(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return own_names(found)
    except (SafetensorError, OSError, TypeError, AttributeError, KeyError) as error:
        # another kind of file, or types that NumPy does not have
        if importlib.util.find_spec("torch") is None:
            raise WeightsError(
                f"{path} cannot be read without PyTorch ({error}); use `matte weights convert` where it is installed"
            ) from error
    from mattecli.network.checkpoint import read_state_dict

    return {name: tensor.float().numpy() for name, tensor in read_state_dict(path).items()}
