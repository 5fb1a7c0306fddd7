"""The network's parts as ONNX models of their own: what the run in tiles asks for (see `network/parts.py`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from mattecli.onnx.graph import Graph, Value
from mattecli.onnx.network import PREDICTORS, Network, Weights

OPSET = 18
IR_VERSION = 10  # what ONNX Runtime 1.18 and later read

Part = Callable[..., Value | tuple[Value, ...]]


def part(name: str, weights: Weights) -> onnx.ModelProto:
    """The model of one part; its inputs are the part's arrays in order, and last the `edges` if it runs on windows."""
    inputs, build = _parts()[name]
    graph = Graph()
    found = build(Network(graph, weights), *(graph.value(given) for given in inputs))
    outputs = found if isinstance(found, tuple) else (found,)
    proto = helper.make_graph(
        graph.nodes,
        name,
        [
            helper.make_tensor_value_info(given, TensorProto.INT64 if given == "edges" else TensorProto.FLOAT, None)
            for given in inputs
        ],
        [helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None) for output in outputs],
        list(graph.initializers.values()),
    )
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _parts() -> dict[str, tuple[tuple[str, ...], Part]]:
    parts: dict[str, tuple[tuple[str, ...], Part]] = {
        "pool": (("f", "rows", "columns"), _pool),
        "moments": (("f", "u", "v", "edges"), Network.moments),
        "down": (("f", "s", "p_down", "edges"), Network.down),
        "layer0": (("x", "edges"), Network.layer0),
        "layer1": (("x", "edges"), _of(Network.blocks, "layer1")),
        "aspp": (("x", "mean", "edges"), Network.aspp),
    }
    for stage in (2, 3):
        parts[f"head{stage}"] = ("x", "edges"), _of(Network.head, stage)
        parts[f"tail{stage}"] = ("halved", "x", "edges"), _of(Network.tail, stage)
        parts[f"layer{stage}"] = ("x", "edges"), _of(Network.blocks, f"layer{stage}_2")
    for number, name in enumerate(PREDICTORS):
        parts[f"factors{number}"] = ("pooled", "mean"), _of(Network.factors, name)
        parts[f"affinity{number}"] = ("f", "u", "v", "moments", "edges"), _of(Network.affinity, name)
    for level in (4, 3, 2, 1):
        parts[f"decode{level}"] = ("d", "s", "source", "p_up", "edges"), _of(Network.decode, level)
    return parts


def _pool(net: Network, f: Value, rows: Value, columns: Value) -> Value:
    return net.g.op("Squeeze", net.pool("pool", f, rows, columns), np.array([0]))


def _of(method: Part, which: int | str) -> Part:
    """A method for one stage, level or name."""
    return lambda net, *arrays: method(net, which, *arrays)
