"""A tiny model for rembg: it takes what is red for the subject."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(path: Path, *, everything: bool = False, side: int = 320, sure: float = 1.0) -> Path:
    """An ONNX file that rembg's sessions `u2net_custom` and `u2netp` open: (1, 3, side, side) → (1, 1, side, side).

    The answer is `sure` where red is at least half of its greatest value and twice green. Elsewhere it is 0, or
    twice a negative `sure`. With `everything` it is `sure` but for a row.
    """
    shape = helper.make_tensor_value_info
    take_red = np.array([[0.229, -2 * 0.224, 0]], np.float32).reshape(1, 3, 1, 1)  # undoes the normalisation
    offset = np.array([0.485 - 2 * 0.456 - 0.2], np.float32)
    lowest = np.full((1, 1, side, side), -9.0, np.float32)
    if everything:
        lowest[..., 1:, :] = 9
    nodes = [
        helper.make_node("Conv", ["photo", "weights", "offset"], ["redness"]),
        helper.make_node("Max", ["redness", "lowest"], ["most"]),
        helper.make_node("Sign", ["most"], ["sign"]),
        helper.make_node("Relu", ["sign"], ["red"]),
        helper.make_node("Mul", ["red", "sure"], ["scaled"]),
        helper.make_node("Add", ["scaled", "least"], ["mask"]),
    ]
    constants = {"weights": take_red, "offset": offset, "lowest": lowest}
    constants["sure"], constants["least"] = np.array([abs(sure)], np.float32), np.array([min(0, 2 * sure)], np.float32)
    graph = helper.make_graph(
        nodes,
        "red",
        [shape("photo", TensorProto.FLOAT, [1, 3, side, side])],
        [shape("mask", TensorProto.FLOAT, [1, 1, side, side])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path
