"""The network and its stages as an ONNX graph.

`mattecli/network/` (a2u.py, blocks.py and stages.py) says what is computed and how the weights are named. The weights
have their norms folded in (see read_weights.py). Convolutions here always pad with zeros. So a stage that runs on a
window is wrong near the window's inner sides, as far as its reach; at its end it cuts that margin off. `edges` (4,)
int64 holds 1 for each side (top, bottom, left, right) that is a side of the map.

A graph of 16 bits still computes statistics and affinities with 32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mattecli.onnx import operators
from mattecli.onnx.graph import Graph, Value
from mattecli.spec import BINS, DILATIONS, EPS, GROUPS, LEAK, PREDICTORS, VARIANT

Weights = Mapping[str, NDArray[np.float32]]
Resample = Callable[[Graph, Value, Value, Value], Value]


class Network:
    """Adds the network, or one of its stages, to a graph.

    `downsample` and `upsample` add the nodes of these operators; give others to add custom nodes in their place.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        *,
        downsample: Resample = operators.downsample,
        upsample: Resample = operators.upsample,
    ) -> None:
        self.g, self.weights = graph, weights
        self.shared = weights[VARIANT].shape[0] == 1
        self._downsample, self._upsample = downsample, upsample

    # The whole

    def alpha(self, x: Value) -> Value:
        """Alpha (B, 1, H, W), unclipped, of the normalised input x (B, 4, H, W)."""
        l0 = self.layer0(x)  # (B, 64, H, W)
        s0, down0, up0 = self.predictor("bilinear0", l0)
        l0p = self.down(l0, s0, down0, name="bilinear0")  # (B, 64, H/2, W/2)
        s1, down1, up1 = self.predictor("bilinear1", l0p)
        l1 = self.blocks("layer1", self.down(l0p, s1, down1, name="bilinear1"))  # (B, 64, H/4, W/4)
        l2, s2, up2 = self._down_block(2, l1)  # (B, 128, H/8, W/8)
        l3, s3, up3 = self._down_block(3, l2)  # (B, 256, H/16, W/16)
        mean = self.g.op("ReduceMean", self._exact(l3), np.array([2, 3]))
        d = self.aspp(l3, mean if self.g.dtype == np.float32 else self.g.cast(mean, self.g.dtype))
        for level, s, p_up, source in ((4, s3, up3, l2), (3, s2, up2, l1), (2, s1, up1, l0p), (1, s0, up0, x)):
            d = self.decode(level, d, s, source, p_up)
        return d

    def _down_block(self, number: int, x: Value) -> tuple[Value, Value, Value]:
        """Encoder layer 2 or 3: its output, its s and its p_up."""
        head = self.head(number, x)
        s, p_down, p_up = self.predictor(f"layer{number}_1.bilinear", head)
        halved = self.down(head, s, p_down, name=f"layer{number}_1")
        return self.blocks(f"layer{number}_2", self.tail(number, halved, x)), s, p_up

    def predictor(self, name: str, f: Value) -> tuple[Value, Value, Value]:
        """s, p_down and p_up of the map f."""
        g = self.g
        with g.scope(name):
            rows, columns = (_bins(g, g.dim(f, axis)) for axis in (2, 3))
        pools = self.pool(name, f, rows, columns)
        u, v, p_down, p_up = self.factors(
            name, g.slice(pools, (2, 0, BINS), (3, 0, BINS)), g.slice(pools, (2, BINS, BINS + 1), (3, BINS, BINS + 1))
        )
        with g.scope(name):
            at, valid = self._positions(f, None)
            centred = []
            for a in self._products(f, u, v, at):
                d = a - self._groups(self._mean(a, valid), PREDICTORS[name])
                centred.append((d, self._groups(self._mean(d * d, valid), PREDICTORS[name])))
            return self._affinity(name, centred, at), p_down, p_up

    # The stages

    def layer0(self, x: Value, edges: Value | None = None) -> Value:
        return self._inner(self._conv("layer0.0", x), 3, edges)

    def blocks(self, name: str, x: Value, edges: Value | None = None) -> Value:
        """Three residual blocks."""
        for number in (1, 2, 3):
            prefix = f"{name}.block{number}.convs"
            x = self._sum(self._conv(f"{prefix}.conv2", self._conv(f"{prefix}.conv1", x), linear=True), x, prefix)
        return self._inner(x, 6, edges)

    def head(self, number: int, x: Value, edges: Value | None = None) -> Value:
        """The first convolution of encoder layer 2 or 3."""
        return self._inner(self._conv(f"layer{number}_1.layer1.conv1", x), 1, edges)

    def down(self, f: Value, s: Value, p_down: Value, edges: Value | None = None, name: str = "down") -> Value:
        """f halved by s. At inner sides f has a halo of 2 pixels, which s does not cover."""
        with self.g.scope(name):
            return self._inner(self._downsample(self.g, f, self._outer(s, edges), p_down), 1, edges)

    def tail(self, number: int, halved: Value, x: Value, edges: Value | None = None) -> Value:
        """The rest of encoder layer 2 or 3 after halving; x is the layer's input."""
        prefix = f"layer{number}_1"
        halved = self._inner(self._conv(f"{prefix}.layer2.conv2", halved, linear=True), 1, edges)
        return self._sum(halved, self._conv(f"{prefix}.proj_conv", x, stride=2, linear=True), prefix)

    def aspp(self, x: Value, mean: Value, edges: Value | None = None) -> Value:
        """Atrous spatial pyramid pooling."""
        g, name = self.g, "dconv_pp"
        branches = [self._conv(f"{name}.aspp1.atrous_conv.0", x)]
        for number, dilation in zip((2, 3, 4), DILATIONS, strict=True):
            prefix = f"{name}.aspp{number}.atrous_conv"
            channels = self.weights[f"{prefix}.0.weight"].shape[0]
            branch = self._conv(f"{prefix}.0", x, dilation=dilation, groups=channels)
            branches.append(self._conv(f"{prefix}.2", branch))
        mean = self._conv(f"{name}.global_avg_pool.1", mean)
        with g.scope(name):
            branches.append(g.op("Expand", mean, g.shape(1, 1, g.dim(x, 2), g.dim(x, 3))))
            together = g.op("Concat", *branches, axis=1)
        return self._inner(self._conv(f"{name}.bottleneck_conv.0", together), max(DILATIONS), edges)

    def decode(self, level: int, d: Value, s: Value, source: Value, p_up: Value, edges: Value | None = None) -> Value:
        """One level of the decoder; the first also predicts alpha."""
        reach = 6 if level == 1 else 4
        shortcut = self._inner(self._conv(f"short{level - 1}.0", source), 1, edges)
        name = f"decoder_layer{level}"
        with self.g.scope(name):
            x = self._inner(self._upsample(self.g, d, self._outer(s, edges), p_up), 2, edges) + shortcut
        for block in ("dconv", "dconv1"):
            prefix = f"{name}.{block}"
            y = self._conv(f"{prefix}.dep_sep_conv.conv2", self._conv(f"{prefix}.dep_sep_conv.conv1", x), linear=True)
            skips = f"{prefix}.proj_conv.weight" in self.weights
            x = self._sum(y, self._conv(f"{prefix}.proj_conv", x, linear=True) if skips else x, prefix)
        if level == 1:
            x = self._conv("pred.1", self._conv("pred.0.0", x), linear=True)
        return self._inner(x, reach, edges)

    def pool(self, name: str, f: Value, rows: Value, columns: Value) -> Value:
        """Sums (B, C, m, n) of f over bins; rows (m, h) and columns (n, w) hold each pixel's weight in a bin."""
        g = self.g
        with g.scope(name):
            by_column = g.op("MatMul", self._exact(f), g.transpose(columns, 1, 0))
            return g.op("MatMul", rows, by_column)

    def factors(self, name: str, pooled: Value, mean: Value) -> tuple[Value, Value, Value, Value]:
        """u, v (B, C or 1, 6, 6), p_down and p_up (B, 36) of the pools (B, C, 6, 6) and (B, C, 1, 1)."""
        g = self.g

        def conv(x: Value, part: str) -> Value:
            prefix = f"{name}.{part}.1"
            with g.scope(prefix):
                weight, bias = (
                    g.weight(f"{prefix}.{kind}", self.weights[f"{prefix}.{kind}"], dtype=np.float32)
                    for kind in ("weight", "bias")
                )
                return g.op("Conv", x, weight, bias, kernel_shape=[1, 1])

        u, v = conv(pooled, "bconv_U"), conv(pooled, "bconv_V")
        down, up = (g.reshape(conv(mean, part), -1, 36) for part in ("bconv_DP", "bconv_UP"))
        return u, v, down, up

    def moments(self, f: Value, u: Value, v: Value, edges: Value) -> Value:
        """Mean and variance (4, C) of each channel of a window's products with u, then with v; for one image."""
        at, valid = self._positions(f, edges)
        rows = []
        for a in self._products(f, u, v, at):
            mean = self._mean(a, valid)
            d = a - mean
            rows += [mean, self._mean(d * d, valid)]
        return self.g.op("Squeeze", self.g.op("Concat", *rows, axis=1), np.array([0, 2]))

    def affinity(self, name: str, f: Value, u: Value, v: Value, moments: Value, edges: Value) -> Value:
        """s (1, 1, h, w) of a window, given the `moments` (4, groups) of the whole map; for one image."""
        g, channels = self.g, PREDICTORS[name]
        spread = np.repeat(np.eye(GROUPS, dtype=np.float32), channels // GROUPS, axis=1)  # (groups, C)
        moments = g.op("MatMul", moments, spread)
        mean_u, variance_u, mean_v, variance_v = (g.op("Gather", moments, n, axis=0) for n in range(4))  # (C,)
        at, _ = self._positions(f, edges)
        a_u, a_v = self._products(f, u, v, at)
        s = self._affinity(name, [(a_u - mean_u, variance_u), (a_v - mean_v, variance_v)], at)
        return self._inner(s, 1, edges)

    # Statistics; products have the shape (B, rows of blocks, columns · 16, C)

    def _positions(self, f: Value, edges: Value | None) -> tuple[operators.Grid, Value]:
        """The half-size positions of f in blocks, and 1 where they count, else 0: (rows of blocks, 1, columns · 16).

        Positions beyond the map do not count, nor positions whose taps cross an inner side.
        """
        g = self.g
        at = operators.grid(g.dim(f, 2) // 2, g.dim(f, 3) // 2)
        inside = []
        for size, blocks, sides in ((at.h, at.rows, (0, 1)), (at.w, at.columns, (2, 3))):
            place = g.arange(blocks * operators.BLOCK)
            counts = g.op("Less", place, size if edges is None else size - 1 + _side(g, edges, sides[1]))
            if edges is not None:
                counts = g.op("And", counts, g.op("GreaterOrEqual", place, 1 - _side(g, edges, sides[0])))
            inside.append(g.cast(counts, np.float32))
        rows, columns = g.reshape(inside[0], -1, 1, operators.BLOCK, 1), g.reshape(inside[1], 1, -1, 1, operators.BLOCK)
        return at, g.op("Reshape", rows * columns, g.shape(at.rows, 1, -1))

    def _products(self, f: Value, u: Value, v: Value, at: operators.Grid) -> list[Value]:
        """f correlated with u and with v."""
        g = self.g
        channels = g.dim(f, 1)
        found = operators.correlate(g, f, [u, v], at, shared=self.shared)
        return [self._exact(g.op("Reshape", a, g.shape(0, 0, -1, channels))) for a in found]

    def _mean(self, a: Value, valid: Value) -> Value:
        """The mean of a over the positions that count: (B, 1, 1, C). It sums row by row, which rounds less."""
        g = self.g
        total = g.op("ReduceSum", g.op("MatMul", valid, a), np.array([1]))
        return total / g.op("ReduceSum", valid)

    def _groups(self, means: Value, channels: int) -> Value:
        """Means of channels (B, 1, 1, C) averaged over each group of the norms."""
        size = channels // GROUPS
        average = np.kron(np.eye(GROUPS), np.full((size, size), 1 / size)).astype(np.float32)
        return self.g.op("MatMul", means, average)

    def _affinity(self, name: str, centred: Sequence[tuple[Value, Value]], at: operators.Grid) -> Value:
        """s (B, 1, h, w) of the centred products, each with its variance."""
        g, channels = self.g, PREDICTORS[name]
        factors = []
        for norm, (d, variance) in zip(("bnu.0", "bnv.0"), centred, strict=True):
            weight, bias = (
                g.weight(f"{name}.{norm}.{kind}", self.weights[f"{name}.{norm}.{kind}"], dtype=np.float32)
                for kind in ("weight", "bias")
            )
            scale = weight / g.op("Sqrt", variance + EPS)
            factors.append(g.op("LeakyRelu", d * scale + bias, alpha=LEAK))
        s = g.op("ReduceSum", factors[0] * factors[1], np.array([3])) * (1 / math.sqrt(channels))
        return operators.from_blocks(g, g.op("Reshape", s, g.shape(0, at.rows, at.columns, -1, 1)), at)

    # Maps

    def _conv(
        self, name: str, x: Value, *, stride: int = 1, dilation: int = 1, groups: int = 1, linear: bool = False
    ) -> Value:
        """A convolution that keeps the size up to its stride, with its folded norm, then leaky ReLU unless `linear`."""
        g = self.g
        with g.scope(name):
            weight = self.weights[f"{name}.weight"]
            size, bias = weight.shape[2], f"{name}.bias"
            out = g.op(
                "Conv",
                x,
                g.weight(f"{name}.weight", weight),
                g.weight(bias, self.weights[bias]) if bias in self.weights else None,
                kernel_shape=[size, size],
                pads=[dilation * (size // 2)] * 4,
                strides=[stride, stride],
                dilations=[dilation, dilation],
                group=groups,
            )
            return out if linear else g.op("LeakyRelu", out, alpha=LEAK)

    def _sum(self, x: Value, skip: Value, name: str) -> Value:
        """The end of a residual block."""
        with self.g.scope(name):
            return self.g.op("LeakyRelu", x + skip, alpha=LEAK)

    def _inner(self, x: Value, margin: int, edges: Value | None) -> Value:
        """x without `margin` rows or columns at its inner sides."""
        if edges is None:
            return x
        g = self.g
        top, bottom, left, right = ((1 - _side(g, edges, side)) * margin for side in range(4))
        return g.slice(x, (2, top, g.dim(x, 2) - bottom), (3, left, g.dim(x, 3) - right))

    def _outer(self, s: Value, edges: Value | None) -> Value:
        """s with one more position at its inner sides."""
        if edges is None:
            return s
        top, bottom, left, right = (1 - _side(self.g, edges, side) for side in range(4))
        return self.g.pad(s, (top, left), (bottom, right), (2, 3))

    def _exact(self, x: Value) -> Value:
        """x with at least 32 bits."""
        return x if self.g.dtype == np.float32 else self.g.cast(x, np.float32)


def _side(g: Graph, edges: Value, number: int) -> Value:
    """1 if that side is a side of the map, else 0: (1,)"""
    return g.slice(edges, (0, number, number + 1))


def _bins(g: Graph, size: Value) -> Value:
    """The weights (7, size) of a pool's six bins, then of the whole as a seventh bin.

    Bin i has the pixels from ⌊i · size / 6⌋ to ⌈(i + 1) · size / 6⌉ - 1.
    """
    number = np.arange(BINS)[:, None]
    place = g.arange(size)
    start, end = number * size // BINS, (size * (number + 1) + (BINS - 1)) // BINS
    inside = g.op("And", g.op("GreaterOrEqual", place, start), g.op("Less", place, end))
    weights = g.cast(inside, np.float32) / g.cast(end - start, np.float32)
    whole = g.op("Expand", g.constant(np.ones((1, 1), np.float32)) / g.cast(size, np.float32), g.shape(1, size))
    return g.op("Concat", weights, whole, axis=0)
