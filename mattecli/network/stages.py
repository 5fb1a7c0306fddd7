"""The network cut into parts: pure functions of windows, from which a run in tiles is put together.

They use the modules of `A2UNet`, so there is one mathematics. What each part reads around its output, and in which
order they run, is told in `mattecli/inference/tiling.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.network.a2u import A2UNet
from mattecli.network.affinity import Affinity, AffinityPredictor, Factors, products
from mattecli.ops.resample import downsample

Part = Callable[..., Tensor | tuple[Tensor, ...]]


def split(net: A2UNet) -> dict[str, Part]:
    """The parts of `net` by name; each takes its arrays, and the window's `edges` as the last argument.

    Maps are (1, C, h, w) and in the network's own type; statistics, the affinities s and the factors are in float32 or
    better. `layerN`, `headN` and `tailN` are the pieces of the encoder's stage N, `decodeN` the decoder's levels.
    """
    dtype = next(net.layer0.parameters()).dtype
    down2, down3 = net.layer2_1, net.layer3_1
    predictors = (net.bilinear0, net.bilinear1, down2.bilinear, down3.bilinear)
    parts: dict[str, Part] = {
        "normalise": _normalise(dtype),
        "pool": pool,
        "moments": moments,
        "down": down,
        "layer0": net.layer0,
        "layer1": net.layer1,
        "head2": down2.layer1,
        "tail2": down2.tail,
        "layer2": net.layer2_2,
        "head3": down3.layer1,
        "tail3": down3.tail,
        "layer3": net.layer3_2,
        "aspp": net.dconv_pp,
    }
    for number, predictor in enumerate(predictors):
        parts[f"factors{number}"] = _factors(predictor)
        parts[f"affinity{number}"] = _affinity(predictor)
    for level in (4, 3, 2, 1):
        parts[f"decode{level}"] = _decode(net, level)
    return parts


def pool(f: Tensor, rows: Tensor, columns: Tensor, edges: Edges = WHOLE) -> Tensor:  # noqa: ARG001 - all parts take it
    """Sums (C, m, n) of f (1, C, h, w) over bins: rows (m, h) and columns (n, w) hold 1 where a bin includes it."""
    by_row = rows.to(f.dtype) @ f[0].permute(1, 2, 0).flatten(1)  # (m, w · C)
    by_row = by_row.view(len(rows), f.shape[3], f.shape[1]).to(columns.dtype)
    return (columns @ by_row).permute(2, 0, 1)


def moments(f: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Mean and variance of each channel of a_u, then of a_v: (4, C). f has a halo of 2 at inner sides."""
    return torch.cat([_mean_variance(a) for a in products(f, Factors(u, v, u, v), edges)])


def _mean_variance(a: Tensor) -> Tensor:
    if a.device.type == "cpu":  # as batch norms do it: in parallel over a channels-last map, which var_mean is not
        unused = torch.zeros(a.shape[1], dtype=torch.promote_types(a.dtype, torch.float32))
        mean, variance = torch.batch_norm_update_stats(a, unused, unused.clone(), 0.0)
        return torch.stack([mean, variance])
    variance, mean = torch.var_mean(a.to(torch.promote_types(a.dtype, torch.float32)), (0, 2, 3), correction=0)
    return torch.stack([mean, variance])


def down(f: Tensor, s: Tensor, p_down: Tensor, edges: Edges = WHOLE) -> Tensor:
    """f (1, C, 2h, 2w), with a halo of 2 at inner sides, halved: (1, C, h, w)."""
    return downsample(f, s, p_down, edges)


def _normalise(dtype: torch.dtype) -> Part:
    def part(rgb: Tensor, trimap: Tensor, scale: Tensor, shift: Tensor, edges: Edges = WHOLE) -> Tensor:  # noqa: ARG001
        """rgb (h, w, 3) and trimap (h, w) of any type to values · scale + shift, (1, 4, h, w)."""
        planes = torch.empty(*trimap.shape, 4, dtype=scale.dtype, device=scale.device)
        planes[..., :3], planes[..., 3] = rgb, trimap
        return torch.addcmul(shift, planes, scale).to(dtype).permute(2, 0, 1)[None]

    return part


def _factors(predictor: AffinityPredictor) -> Part:
    def part(pooled: Tensor, mean: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, ...]:  # noqa: ARG001
        return predictor.factors(pooled, mean)

    return part


def _affinity(predictor: AffinityPredictor) -> Part:
    def part(f: Tensor, u: Tensor, v: Tensor, moments: Tensor, edges: Edges = WHOLE) -> Tensor:
        return predictor.affinity(f, Factors(u, v, u, v), moments, edges)

    return part


def _decode(net: A2UNet, level: int) -> Part:
    def part(d: Tensor, s: Tensor, source: Tensor, p_up: Tensor, edges: Edges = WHOLE) -> Tensor:
        out = net.decode(level, d, Affinity(s, p_up, p_up), source, edges)
        return net.pred(out, edges) if level == 1 else out

    return part
