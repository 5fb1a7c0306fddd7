"""The A2U network as an ONNX graph: the whole of it, and its parts for the run in tiles.

What it computes, and which names its weights bear, is told by `mattecli/network/` (a2u.py, blocks.py and parts.py);
weights come with their norms folded in (see weights.py). Convolutions here always pad with zeros. A part that runs on a
window therefore goes wrong near the window's inner sides, by as much as its reach, and cuts that off at its end:
`edges` (4,) int64 holds 1 for each side (top, bottom, left, right) that is the map's own.

With a graph of 16 bits, statistics and affinities are still computed with 32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mattecli.onnx import operators
from mattecli.onnx.graph import Graph, Value

BINS = 6
GROUPS = 32  # of the group norms
LEAK = 0.01
EPS = 1e-5
DILATIONS = (6, 12, 18)
# The predictors' names, and how many channels their maps have.
PREDICTORS = {"bilinear0": 64, "bilinear1": 64, "layer2_1.bilinear": 128, "layer3_1.bilinear": 256}
STAGES = {2: 128, 3: 256}

Weights = Mapping[str, NDArray[np.float32]]
Resample = Callable[[Graph, Value, Value, Value], Value]


class Network:
    """Adds the network, or a part of it, to a graph.

    `downsample` and `upsample` may be replaced, by nodes that stand for them.
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
        self.shared = weights["bilinear0.bconv_U.1.weight"].shape[0] == 1
        self._downsample, self._upsample = downsample, upsample

    # The whole

    def alpha(self, x: Value) -> Value:
        """Alpha (B, 1, H, W), unclipped, of the normalised input x (B, 4, H, W)."""
        l0 = self.layer0(x)
        s0, down0, up0 = self.predictor("bilinear0", l0)
        l0p = self.down(l0, s0, down0, name="bilinear0")
        s1, down1, up1 = self.predictor("bilinear1", l0p)
        l1 = self.blocks("layer1", self.down(l0p, s1, down1, name="bilinear1"))
        l2, s2, up2 = self._stage(2, l1)
        l3, s3, up3 = self._stage(3, l2)
        d = self.aspp(l3, self.g.op("ReduceMean", l3, np.array([2, 3])))
        for level, s, p_up, source in ((4, s3, up3, l2), (3, s2, up2, l1), (2, s1, up1, l0p), (1, s0, up0, x)):
            d = self.decode(level, d, s, source, p_up)
        return d

    def _stage(self, number: int, x: Value) -> tuple[Value, Value, Value]:
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

    # The parts

    def layer0(self, x: Value, edges: Value | None = None) -> Value:
        return self._inner(self._conv("layer0.0", x), 3, edges)

    def blocks(self, name: str, x: Value, edges: Value | None = None) -> Value:
        """Three residual blocks."""
        for number in (1, 2, 3):
            prefix = f"{name}.block{number}.convs"
            x = self._sum(self._conv(f"{prefix}.conv2", self._conv(f"{prefix}.conv1", x), linear=True), x, prefix)
        return self._inner(x, 6, edges)

    def head(self, number: int, x: Value, edges: Value | None = None) -> Value:
        """A stage's first convolution."""
        return self._inner(self._conv(f"layer{number}_1.layer1.conv1", x), 1, edges)

    def down(self, f: Value, s: Value, p_down: Value, edges: Value | None = None, name: str = "down") -> Value:
        """f halved by s, which lacks the position that the halo of 2 at f's inner sides would give."""
        with self.g.scope(name):
            return self._inner(self._downsample(self.g, f, self._outer(s, edges), p_down), 1, edges)

    def tail(self, number: int, halved: Value, x: Value, edges: Value | None = None) -> Value:
        """What follows a stage's halving; x is the stage's input."""
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
        """Sums (B, C, m, n) of f over bins: rows (m, h) and columns (n, w) hold the weight of each pixel in a bin."""
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
        """Mean and variance of each channel of the products with u, then with v, (4, C), of one image's window."""
        at, valid = self._positions(f, edges)
        rows = []
        for a in self._products(f, u, v, at):
            mean = self._mean(a, valid)
            d = a - mean
            rows += [mean, self._mean(d * d, valid)]
        return self.g.op("Squeeze", self.g.op("Concat", *rows, axis=1), np.array([0, 2]))

    def affinity(self, name: str, f: Value, u: Value, v: Value, moments: Value, edges: Value) -> Value:
        """s (1, 1, h, w) of one image's window, given the `moments` (4, groups) of the whole map."""
        g, channels = self.g, PREDICTORS[name]
        spread = np.repeat(np.eye(GROUPS, dtype=np.float32), channels // GROUPS, axis=1)  # (groups, C)
        moments = g.op("MatMul", moments, spread)
        mean_u, variance_u, mean_v, variance_v = (g.op("Gather", moments, n, axis=0) for n in range(4))  # (C,)
        at, _ = self._positions(f, edges)
        a_u, a_v = self._products(f, u, v, at)
        s = self._affinity(name, [(a_u - mean_u, variance_u), (a_v - mean_v, variance_v)], at)
        return self._inner(s, 1, edges)

    # Statistics: products stand as (B, rows of blocks, columns · 16, C)

    def _positions(self, f: Value, edges: Value | None) -> tuple[operators.Grid, Value]:
        """The half-size positions of f in blocks, and which of them count: 1, or 0; (rows of blocks, 1, columns · 16).

        Those do not that lie beyond the map, or that lack pixels at inner sides.
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
        """The mean of a over the positions that count: (B, 1, 1, C). Rows are summed apart, which rounds less."""
        g = self.g
        total = g.op("ReduceSum", g.op("MatMul", valid, a), np.array([1]))
        return total / g.op("ReduceSum", valid)

    def _groups(self, means: Value, channels: int) -> Value:
        """Means of channels (B, 1, 1, C) averaged over each group of the norms."""
        size = channels // GROUPS
        average = np.kron(np.eye(GROUPS), np.full((size, size), 1 / size)).astype(np.float32)
        return self.g.op("MatMul", means, average)

    def _affinity(self, name: str, centred: Sequence[tuple[Value, Value]], at: operators.Grid) -> Value:
        """s (B, 1, h, w) of the products less their means, each with its variance."""
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
        """A convolution that keeps the size but for its stride, its folded norm, and leaky ReLU unless `linear`."""
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
    """1 if that side is the map's own, else 0: (1,)"""
    return g.slice(edges, (0, number, number + 1))


def _bins(g: Graph, size: Value) -> Value:
    """The weights (7, size) of a pool's six bins, and of a seventh that is the whole.

    Bin i has the pixels from ⌊i · size / 6⌋ up to ⌈(i + 1) · size / 6⌉, the end left out.
    """
    number = np.arange(BINS)[:, None]
    place = g.arange(size)
    start, end = number * size // BINS, (size * (number + 1) + (BINS - 1)) // BINS
    inside = g.op("And", g.op("GreaterOrEqual", place, start), g.op("Less", place, end))
    weights = g.cast(inside, np.float32) / g.cast(end - start, np.float32)
    whole = g.op("Expand", g.constant(np.ones((1, 1), np.float32)) / g.cast(size, np.float32), g.shape(1, size))
    return g.op("Concat", weights, whole, axis=0)
