"""The network's stages as ONNX models of their own.

They have the names of `mattecli/network/stages.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from mattecli.onnx.graph import Graph, Value
from mattecli.onnx.network import Network, Weights
from mattecli.spec import PREDICTORS

OPSET = 18
IR_VERSION = 10  # ONNX Runtime reads it from 1.18 on

Stage = Callable[..., Value | tuple[Value, ...]]


def stage_model(name: str, weights: Weights) -> onnx.ModelProto:
    """The model of one stage. Its inputs are the stage's arrays in order, then `edges` if it runs on windows."""
    inputs, build = _stages()[name]
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


def _stages() -> dict[str, tuple[tuple[str, ...], Stage]]:
    """The inputs of each stage, and the method that builds it."""
    stages: dict[str, tuple[tuple[str, ...], Stage]] = {
        "pool": (("f", "rows", "columns"), _pool),
        "moments": (("f", "u", "v", "edges"), Network.moments),
        "down": (("f", "s", "p_down", "edges"), Network.down),
        "layer0": (("x", "edges"), Network.layer0),
        "layer1": (("x", "edges"), _of(Network.blocks, "layer1")),
        "aspp": (("x", "mean", "edges"), Network.aspp),
    }
    for layer in (2, 3):
        stages[f"head{layer}"] = ("x", "edges"), _of(Network.head, layer)
        stages[f"tail{layer}"] = ("halved", "x", "edges"), _of(Network.tail, layer)
        stages[f"layer{layer}"] = ("x", "edges"), _of(Network.blocks, f"layer{layer}_2")
    for number, name in enumerate(PREDICTORS):
        stages[f"factors{number}"] = ("pooled", "mean"), _of(Network.factors, name)
        stages[f"affinity{number}"] = ("f", "u", "v", "moments", "edges"), _of(Network.affinity, name)
    for level in (4, 3, 2, 1):
        stages[f"decode{level}"] = ("d", "s", "source", "p_up", "edges"), _of(Network.decode, level)
    return stages


def _pool(net: Network, f: Value, rows: Value, columns: Value) -> Value:
    return net.g.op("Squeeze", net.pool("pool", f, rows, columns), np.array([0]))


def _of(method: Stage, which: int | str) -> Stage:
    """A method for one layer, level or name."""
    return lambda net, *arrays: method(net, which, *arrays)
