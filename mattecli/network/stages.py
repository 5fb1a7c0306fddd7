"""The network cut into stages for the run in tiles.

Stages are functions of windows. They use the modules of `A2UNet`, so the network is written once.
`mattecli/inference/tiling.py` says what each stage reads around its output and in which order the stages run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.network.a2u import A2UNet
from mattecli.network.affinity import Affinity, AffinityPredictor, Factors, products
from mattecli.ops.resample import downsample

Stage = Callable[..., Tensor | tuple[Tensor, ...]]


def split(net: A2UNet) -> dict[str, Stage]:
    """The stages of `net` by name; each takes its arrays, and the window's `edges` as the last argument.

    Maps are (1, C, h, w) in the network's own type. Statistics, the affinities s and the factors are in float32 or
    better. `headN`, `tailN` and `layerN` are the pieces of the encoder's layer N, `decodeN` are the decoder's levels.
    """
    dtype = next(net.layer0.parameters()).dtype
    down2, down3 = net.layer2_1, net.layer3_1
    predictors = (net.bilinear0, net.bilinear1, down2.bilinear, down3.bilinear)
    stages: dict[str, Stage] = {
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
        stages[f"factors{number}"] = _factors(predictor)
        stages[f"affinity{number}"] = _affinity(predictor)
    for level in (4, 3, 2, 1):
        stages[f"decode{level}"] = _decode(net, level)
    return stages


def pool(f: Tensor, rows: Tensor, columns: Tensor, edges: Edges = WHOLE) -> Tensor:  # noqa: ARG001 - all stages take it
    """Sums (C, m, n) of f (1, C, h, w) over bins: rows (m, h) and columns (n, w) hold 1 where a bin includes them."""
    count = rows.sum(1, keepdim=True).clamp(min=1)
    # Sums of many rows can pass float16's 65504, so each is divided by a power of two. That is exact, and undone below.
    share = torch.frexp(count).mantissa / count  # (m, 1)
    by_row = (rows * share).to(f.dtype) @ f[0].permute(1, 2, 0).flatten(1)  # (m, w · C)
    by_row = by_row.view(len(rows), f.shape[3], f.shape[1]).to(columns.dtype)  # (m, w, C)
    return (columns @ by_row / share[..., None]).permute(2, 0, 1)


def moments(f: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Mean and variance of each channel of a_u, then of a_v: (4, C). f has a halo of 2 at inner sides."""
    return torch.cat([_mean_variance(a) for a in products(f, Factors(u, v, u, v), edges)])


def _mean_variance(a: Tensor) -> Tensor:
    """Mean and variance of each channel of a (1, C, h, w): (2, C), in float32 or better."""
    wide = torch.promote_types(a.dtype, torch.float32)
    if a.device.type == "cpu" and hasattr(torch, "batch_norm_update_stats"):
        # PyTorch does not document this function of its batch norms. On a channels-last map it runs in parallel, which
        # var_mean does not.
        unused = torch.zeros(a.shape[1], dtype=wide, device=a.device)
        mean, variance = torch.batch_norm_update_stats(a, unused, unused.clone(), 0.0)
        return torch.stack([mean, variance])
    variance, mean = torch.var_mean(a.to(wide), (0, 2, 3), correction=0)
    return torch.stack([mean, variance])


def down(f: Tensor, s: Tensor, p_down: Tensor, edges: Edges = WHOLE) -> Tensor:
    """f (1, C, 2h, 2w), with a halo of 2 at inner sides, halved: (1, C, h, w)."""
    return downsample(f, s, p_down, edges)


def _normalise(dtype: torch.dtype) -> Stage:
    def stage(rgb: Tensor, trimap: Tensor, scale: Tensor, shift: Tensor, edges: Edges = WHOLE) -> Tensor:  # noqa: ARG001
        """values · scale + shift of rgb (h, w, 3) and trimap (h, w) of any type: (1, 4, h, w)."""
        planes = torch.empty(*trimap.shape, 4, dtype=scale.dtype, device=scale.device)  # (h, w, 4)
        planes[..., :3], planes[..., 3] = rgb, trimap
        return torch.addcmul(shift, planes, scale).to(dtype).permute(2, 0, 1)[None]

    return stage


def _factors(predictor: AffinityPredictor) -> Stage:
    def stage(pooled: Tensor, mean: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, ...]:  # noqa: ARG001
        return predictor.factors(pooled, mean)

    return stage


def _affinity(predictor: AffinityPredictor) -> Stage:
    def stage(f: Tensor, u: Tensor, v: Tensor, moments: Tensor, edges: Edges = WHOLE) -> Tensor:
        return predictor.affinity(f, Factors(u, v, u, v), moments, edges)

    return stage


def _decode(net: A2UNet, level: int) -> Stage:
    def stage(d: Tensor, s: Tensor, source: Tensor, p_up: Tensor, edges: Edges = WHOLE) -> Tensor:
        out = net.decode(level, d, Affinity(s, p_up, p_up), source, edges)
        return net.pred(out, edges) if level == 1 else out

    return stage
