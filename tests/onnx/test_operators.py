"""The operators in ONNX against the same formulas in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mattecli.onnx import operators
from mattecli.onnx.graph import Graph, Value
from mattecli.ops import resample

SIZES = [(1, 32, 1, 1), (2, 3, 3, 7), (3, 4, 8, 4), (1, 2, 9, 13)]  # B, C, and the half-size map
Array = NDArray[np.float32]


def run(build: Callable[..., Value | Sequence[Value]], **given: Array) -> list[Array]:
    """What a graph with those inputs gives."""
    g = Graph()
    found = build(g, *map(g.value, given))
    outputs = [found] if isinstance(found, Value) else found
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        g.nodes,
        "test",
        [info(name, TensorProto.FLOAT, None) for name in given],
        [info(output.name, TensorProto.FLOAT, None) for output in outputs],
        list(g.initializers.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)  # type: ignore[no-any-return]


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def double(*arrays: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(array).double() for array in arrays]


@pytest.mark.parametrize(("batch", "channels", "h", "w"), SIZES)
def test_downsampling_is_pytorchs(batch: int, channels: int, h: int, w: int) -> None:
    x, s, p = normal(batch, channels, 2 * h, 2 * w), normal(batch, 1, h, w), normal(batch, 36)
    (found,) = run(operators.downsample, x=x, s=s, p=p)
    assert np.abs(found - resample.downsample(*double(x, s, p)).numpy()).max() < 1e-5


@pytest.mark.parametrize(("batch", "channels", "h", "w"), SIZES)
def test_upsampling_is_pytorchs(batch: int, channels: int, h: int, w: int) -> None:
    f, s, p = normal(batch, channels, h, w), normal(batch, 1, h, w), normal(batch, 36)
    (found,) = run(operators.upsample, f=f, s=s, p=p)
    assert found.shape == (batch, channels, 2 * h, 2 * w)
    assert np.abs(found - resample.upsample(*double(f, s, p)).numpy()).max() < 1e-5


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("batch", "channels", "h", "w"), SIZES)
def test_each_image_is_correlated_with_its_own_kernels(batch: int, channels: int, h: int, w: int, shared: bool) -> None:
    x = normal(batch, channels, 2 * h, 2 * w)
    u, v = (normal(batch, 1 if shared else channels, 6, 6) + shift for shift in (0, 1))

    def build(g: Graph, x: Value, u: Value, v: Value) -> list[Value]:
        at = operators.grid(g.dim(x, 2) // 2, g.dim(x, 3) // 2)
        return [operators.from_blocks(g, a, at) for a in operators.correlate(g, x, [u, v], at, shared=shared)]

    for found, kernel in zip(run(build, x=x, u=u, v=v), (u, v), strict=True):
        expected = resample.correlate(*double(x, kernel)).numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
