from __future__ import annotations

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

from mattecli.onnx.graph import Graph


def evaluate(g: Graph, output: str, **given: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        g.nodes,
        "test",
        [info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None) for name, array in given.items()],
        [info(output, 1, None)],
        list(g.initializers.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    return ReferenceEvaluator(model).run(None, given)[0]  # type: ignore[no-any-return]


def test_sizes_can_be_reckoned_with() -> None:
    g = Graph()
    x = g.value("x")
    odd = (g.dim(x, 1) + 3) // 4 * 8 - 1
    assert evaluate(g, odd.name, x=np.zeros((2, 5), np.float32)).tolist() == [15]
    turned = np.array([10, 20]) * g.dim(x, 0) % 7 + (1 - g.dim(x, 0))
    assert evaluate(g, turned.name, x=np.zeros((2, 5), np.float32)).tolist() == [5, 4]


def test_equal_constants_are_one_tensor_and_kinds_are_kept_apart() -> None:
    g = Graph()
    x = g.value("x")
    assert g.constant(2).name == g.constant(2).name
    assert len({g.constant(value).name for value in (2, 2.0, np.array([2]), np.array([2], np.uint8))}) == 4
    assert (x + 2.0).name != (x + 2.0).name


def test_nodes_bear_the_names_of_their_scopes() -> None:
    g = Graph()
    with g.scope("layer0"), g.scope("part"):
        assert (g.value("x") + 1).name == "layer0/part/Add"
        assert (g.value("x") + 1).name == "layer0/part/Add_2"
    assert (g.value("x") + 1).name == "Add"


def test_a_functions_constants_are_nodes() -> None:
    g = Graph(is_function=True)
    g.value("x") + 1.5
    assert [node.op_type for node in g.nodes] == ["Constant", "Add"]
    assert not g.initializers
