"""A tiny model for rembg: it takes what is red for the subject."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(path: Path, *, everything: bool = False) -> Path:
    """An ONNX file that rembg's sessions `u2net_custom` and `u2netp` open: (1, 3, 320, 320) → (1, 1, 320, 320).

    The answer is 1 where red is at least half of its greatest value and twice green, else 0. With `everything` it is 1
    but for a row.
    """
    shape = helper.make_tensor_value_info
    take_red = np.array([[0.229, -2 * 0.224, 0]], np.float32).reshape(1, 3, 1, 1)  # undoes the normalisation
    offset = np.array([0.485 - 2 * 0.456 - 0.2], np.float32)
    lowest = np.full((1, 1, 320, 320), -9.0, np.float32)
    if everything:
        lowest[..., 1:, :] = 9
    nodes = [
        helper.make_node("Conv", ["photo", "weights", "offset"], ["redness"]),
        helper.make_node("Max", ["redness", "lowest"], ["most"]),
        helper.make_node("Sign", ["most"], ["sign"]),
        helper.make_node("Relu", ["sign"], ["mask"]),
    ]
    constants = {"weights": take_red, "offset": offset, "lowest": lowest}
    graph = helper.make_graph(
        nodes,
        "red",
        [shape("photo", TensorProto.FLOAT, [1, 3, 320, 320])],
        [shape("mask", TensorProto.FLOAT, [1, 1, 320, 320])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path
