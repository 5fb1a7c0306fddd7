"""Build ONNX graphs by calling operators.

`g.op("Conv", x, …)` adds a node and returns its output.

A `Value` is a tensor of the graph. An integer that depends on the input's size is a value with one int64 element;
Python's arithmetic operators work on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Value:
    """A tensor of a graph, identified by its name."""

    __array_ufunc__ = None  # makes NumPy leave `array * value` to `__rmul__`

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Operand) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.op("Mul", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: Operand) -> Value:
        """Division of integers that are not negative."""
        return self.graph.op("Div", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.op("Div", self, other)

    def __mod__(self, other: Operand) -> Value:
        return self.graph.op("Mod", self, other)


Operand: TypeAlias = Value | int | float | NDArray[Any]
Dim: TypeAlias = Value | int


class Graph:
    """A graph, or the body of a function. `dtype` is the type of its maps and weights."""

    def __init__(self, *, dtype: type[np.floating] = np.float32, is_function: bool = False) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.is_function = is_function
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._scope: tuple[str, ...] = ()
        self._taken: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of nodes and tensors that are added inside begin with `name/`."""
        before, self._scope = self._scope, (*self._scope, name)
        try:
            yield
        finally:
            self._scope = before

    def value(self, name: str) -> Value:
        """An input of the graph."""
        return Value(self, name)

    def op(self, kind: str, *inputs: Operand | None, domain: str = "", **attributes: Any) -> Value:
        """Add a node and return its output.

        Numbers among the inputs become constants: integers int64, others float32.
        """
        name = self._name(kind)
        given = ["" if value is None else self.constant(value).name for value in inputs]
        self.nodes.append(helper.make_node(kind, given, [name], name=name, domain=domain, **attributes))
        return Value(self, name)

    def constant(self, value: Operand) -> Value:
        """A number or an array as a value; equal constants share one tensor."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        if not isinstance(value, np.ndarray):
            array = array.astype(np.int64 if isinstance(value, int) else np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._tensor(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def weight(self, name: str, array: NDArray[np.floating], *, dtype: Any = None) -> Value:
        """A weight of the network, in the graph's type or in `dtype`."""
        if name in self.initializers:
            return Value(self, name)
        return self._tensor(name, array.astype(dtype or self.dtype))

    def _tensor(self, name: str, array: NDArray[Any]) -> Value:
        tensor = numpy_helper.from_array(array, name)
        if self.is_function:  # functions cannot have initializers
            self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=tensor))
        else:
            self.initializers[name] = tensor
        return Value(self, name)

    def _name(self, kind: str) -> str:
        name = "/".join((*self._scope, kind))
        count = self._taken[name] = self._taken.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    # Shapes

    def dim(self, x: Value, axis: int) -> Value:
        """The size of x along an axis: (1,)"""
        return self.op("Shape", x, start=axis, end=axis + 1 or None)

    def shape(self, *dims: Dim) -> Value:
        """Sizes as a shape for Reshape, Expand and others."""
        if all(isinstance(d, int) for d in dims):
            return self.constant(np.array(dims, np.int64))
        return self.op("Concat", *(np.array([d], np.int64) if isinstance(d, int) else d for d in dims), axis=0)

    def reshape(self, x: Value, *dims: Dim) -> Value:
        """x with another shape; 0 keeps that axis's size, -1 is computed from the rest."""
        return self.op("Reshape", x, self.shape(*dims))

    def transpose(self, x: Value, *order: int) -> Value:
        """x with its axes in that order."""
        return self.op("Transpose", x, perm=order)

    def slice(self, x: Value, *cuts: tuple[int, Dim, Dim]) -> Value:
        """x cut along some axes, each given as (axis, start, stop)."""
        axes, starts, stops = zip(*cuts, strict=True)
        return self.op("Slice", x, self.shape(*starts), self.shape(*stops), self.shape(*axes))

    def pad(self, x: Value, before: Sequence[Dim], after: Sequence[Dim], axes: Sequence[int]) -> Value:
        """x with zeros before and after it along some axes."""
        return self.op("Pad", x, self.shape(*before, *after), None, self.shape(*axes))

    def arange(self, stop: Dim) -> Value:
        """0, 1, … stop − 1 as int64."""
        end = self.constant(stop) if isinstance(stop, int) else self.op("Squeeze", stop)
        return self.op("Range", 0, end, 1)

    def cast(self, x: Value, dtype: Any) -> Value:
        """x in another type."""
        return self.op("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
