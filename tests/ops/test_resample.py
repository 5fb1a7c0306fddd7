"""The operators against their formulas written the obvious way, and what PyTorch expects of an operator."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops import (
    correlate,
    correlate_pair,
    cpu,
    down_kernel,
    downsample,
    loops,
    reassemble_down,
    reassemble_up,
    reference,
    up_kernel,
    upsample,
)
from mattecli.ops.kernels import normalise

DOUBLE, BF16 = torch.float64, torch.bfloat16
LAYOUTS = [torch.contiguous_format, torch.channels_last]
INNER = Edges(top=False, right=False)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def gradients_agree(function: Callable[..., object], values: list[Tensor]) -> bool:
    """Whether the gradients equal finite differences, along random directions."""
    return torch.autograd.gradcheck(function, values, fast_mode=True)


def unfolded_down(x: Tensor, kernel: Tensor) -> Tensor:
    """Every window taken out and weighted; kernel (B, groups, k², h, w)."""
    (batch, channels), (groups, taps), size = x.shape[:2], kernel.shape[1:3], kernel.shape[3:]
    side = round(taps**0.5)
    before, after = (side - 1) // 2, side // 2
    windows = F.unfold(F.pad(x, (before, after, before, after)), side, stride=2)
    windows = windows.view(batch, groups, channels // groups, taps, -1)[..., : size[0] * size[1]]
    return (windows * kernel.flatten(3)[:, :, None]).sum(3).view(batch, channels, *size)


def unfolded_up(f: Tensor, kernel: Tensor) -> Tensor:
    """Every window taken out, repeated and weighted; kernel (B, groups, k², 2h, 2w)."""
    (batch, channels, height, width), (groups, taps) = f.shape, kernel.shape[1:3]
    side = round(taps**0.5)
    windows = F.unfold(f, side, padding=side // 2).view(batch, channels * taps, height, width)
    windows = windows.repeat_interleave(2, 2).repeat_interleave(2, 3)
    windows = windows.view(batch, groups, channels // groups, taps, 2 * height, 2 * width)
    return (windows * kernel[:, :, None]).sum(3).flatten(1, 2)


def released_down(x: Tensor, s: Tensor, p: Tensor) -> Tensor:
    return unfolded_down(x, torch.softmax(p[:, :, None, None] * s, 1)[:, None])


def released_up(f: Tensor, s: Tensor, p: Tensor) -> Tensor:
    return unfolded_up(f, torch.softmax(torch.sigmoid(F.pixel_shuffle(p[:, :, None, None] * s, 2)), 1)[:, None])


@pytest.fixture(params=["cpu", "loops", "reference"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The forms a CPU can run; the loops of all maps, and not compiled."""
    if request.param == "reference":
        monkeypatch.setattr(cpu, "enabled", False)
    monkeypatch.setattr(loops, "LEAST_VALUES", 0)
    monkeypatch.setattr(loops, "_compiled", lambda function: function)
    with loops.turned_on() if request.param == "loops" else nullcontext():
        yield str(request.param)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
def test_resampling_equals_the_unfolded_formula(grad: bool, layout: torch.memory_format) -> None:
    s, p = random(2, 1, 19, 75, seed=1), random(2, 36, seed=2)
    x, f = random(2, 5, 38, 150).contiguous(memory_format=layout), random(2, 5, 19, 75).contiguous(memory_format=layout)
    with torch.set_grad_enabled(grad):
        down, up = downsample(x.requires_grad_(grad), s, p), upsample(f.requires_grad_(grad), s, p)
    assert torch.allclose(down, released_down(x, s, p), atol=1e-12)
    assert torch.allclose(up, released_up(f, s, p), atol=1e-12)
    assert down.is_contiguous(memory_format=layout)
    assert up.is_contiguous(memory_format=layout)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("size", [(2, 2), (2, 8), (10, 2), (6, 6)])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
def test_gradients_are_right(size: tuple[int, int], layout: torch.memory_format) -> None:
    height, width = size[0] // 2, size[1] // 2
    x, f = random(2, 2, *size), random(2, 2, height, width)
    x, f = (t.contiguous(memory_format=layout).requires_grad_() for t in (x, f))
    s, p = random(2, 1, height, width).requires_grad_(), random(2, 36).requires_grad_()
    assert gradients_agree(downsample, [x, s, p])
    assert gradients_agree(upsample, [f, s, p])
    for channels in (1, 2):
        u, v = (random(2, channels, 6, 6, seed=seed).requires_grad_() for seed in (3, 4))
        assert gradients_agree(correlate, [x, u])
        assert gradients_agree(correlate_pair, [x, u, v])


def test_the_loops_are_for_large_whole_maps_of_a_cpu_in_channels_last_while_they_are_on() -> None:
    side = math.ceil((loops.LEAST_VALUES / 2) ** 0.5)
    large = torch.empty(1, 2, side, side).contiguous(memory_format=torch.channels_last)
    assert not loops.worthwhile(large, WHOLE)
    with loops.turned_on():
        assert loops.worthwhile(large, WHOLE)
        assert loops.worthwhile(large[:, :, :4, :4], WHOLE, larger=large)
        assert not loops.worthwhile(large[:, :, :4], WHOLE)
        assert not loops.worthwhile(large, INNER)
        assert not loops.worthwhile(large.contiguous(), WHOLE)
        assert not loops.worthwhile(large.to("meta"), WHOLE)
    assert not loops.worthwhile(large, WHOLE)


def test_the_loops_gradients_of_16_bit_maps_are_those_of_exact_sums_rounded_once() -> None:
    x, f = (random(2, 64, *size).to(BF16).contiguous(memory_format=torch.channels_last) for size in ((8, 12), (4, 6)))
    s, p = random(2, 1, 4, 6).float(), random(2, 36).to(BF16)
    u, v = random(2, 1, 6, 6, seed=1).to(BF16), random(2, 1, 6, 6, seed=2).to(BF16)
    small, large = random(2, 64, 4, 6, seed=3).to(BF16), random(2, 64, 8, 12, seed=4).to(BF16)
    cases: list[tuple[Callable[..., tuple[Tensor, ...]], list[Tensor]]] = [
        (loops._downsample_gradients, [small, x, s, p]),
        (loops._upsample_gradients, [large, f, s, p]),
        (loops._correlate_gradients, [small, f.flip(1), x, u, v]),
    ]
    for function, values in cases:
        exact = function(*(value.double() for value in values))
        for found, expected, value in zip(function(*values), exact, values[-3:], strict=True):
            assert found.dtype == value.dtype
            bound = 2**-8 if found.dtype == BF16 else 1e-5
            assert (found.double() - expected).abs().max() <= bound * expected.abs().max()
            assert found.shape == value.shape


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("edges", [INNER, Edges(bottom=False, left=False)], ids=str)
def test_a_window_gives_what_the_whole_map_gives_and_has_its_gradients(edges: Edges) -> None:
    """The map is 6 × 8 positions, the window 4 × 5 of them at the corner that is left to it."""
    rows = slice(2, 6) if edges.bottom else slice(0, 4)
    columns = slice(0, 5) if edges.left else slice(3, 8)
    s, p, u = random(1, 1, 6, 8), random(1, 36), random(1, 1, 6, 6)
    x, f = random(1, 4, 12, 16), random(1, 4, 6, 8)

    def wide(share: int, halo: int) -> tuple[slice, ...]:
        top = share * rows.start - halo * (not edges.top)
        left = share * columns.start - halo * (not edges.left)
        bottom, right = share * rows.stop + halo * (not edges.bottom), share * columns.stop + halo * (not edges.right)
        return slice(None), slice(None), slice(top, bottom), slice(left, right)

    part, window = s[:, :, rows, columns], x[wide(2, 2)]
    assert torch.allclose(downsample(window, part, p, edges), downsample(x, s, p)[wide(1, 0)], atol=1e-12)
    assert torch.allclose(upsample(f[wide(1, 1)], part, p, edges), upsample(f, s, p)[wide(2, 0)], atol=1e-12)
    assert torch.allclose(correlate(window, u, edges), correlate(x, u)[wide(1, 0)], atol=1e-12)
    leaves = [t.clone().requires_grad_() for t in (window, part, p)]
    assert gradients_agree(lambda *t: downsample(*t, edges), leaves)
    assert gradients_agree(lambda a, b: correlate(a, b, edges), [leaves[0], u.clone().requires_grad_()])
    leaves[0] = f[wide(1, 1)].clone().requires_grad_()
    assert gradients_agree(lambda *t: upsample(*t, edges), leaves)


def test_blocks_and_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, f, s, p, u = (
        random(3, 8, 48, 80).requires_grad_(),
        random(3, 8, 24, 40).requires_grad_(),
        random(3, 1, 24, 40, seed=1),
        random(3, 36, seed=2),
        random(3, 1, 6, 6, seed=3).requires_grad_(),
    )

    def results() -> list[Tensor]:
        maps = [downsample(x, s, p), upsample(f, s, p), *correlate_pair(x, u, 2 * u)]
        grads = torch.autograd.grad(torch.cat([(t * t).flatten() for t in maps]).sum(), [x, f, u])
        return [*maps, *grads]

    whole = results()
    monkeypatch.setattr("mattecli.ops.cpu.BAND_POSITIONS", 2000)  # two of the three images at a time
    paired = results()
    monkeypatch.setattr("mattecli.ops.cpu.BAND_POSITIONS", 100)  # a few rows of one
    banded = results()
    monkeypatch.setattr(cpu, "enabled", False)
    monkeypatch.setitem(reference.BLOCK_ELEMENTS, "cpu", 8 * 64)  # one row of 64 positions at a time
    blocked = results()
    for number, (one, *others) in enumerate(zip(whole, paired, banded, blocked, strict=True)):
        assert number >= 4 or (torch.equal(one, others[0]) and torch.equal(one, others[1]))
        for other in others:
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-10)


def test_the_kernels_of_few_taps_are_pytorchs_softmax() -> None:
    scores = 8 * random(5, 9)
    for dtype, error in ((DOUBLE, 1e-15), (torch.float32, 2e-7), (BF16, 0.0)):
        found = normalise(scores.to(dtype), "sigmoid-softmax", dim=1)
        expected = torch.softmax(torch.sigmoid(scores.to(dtype)), 1)
        assert found.dtype == dtype
        assert torch.allclose(found, expected, rtol=0, atol=error)


def test_indices_are_made_once_while_they_fit_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows_of(side: int) -> Tensor:
        axis = cpu.Axis(side, first=-1, sign=1, size=side)
        return cpu.tap_rows(1, axis, axis, fine=True)

    monkeypatch.setattr(cpu, "INDEX_BYTES", 20_000)
    assert rows_of(12).nbytes == 144 * 12**2  # it takes all room, whatever was there before
    ten, two = rows_of(10), rows_of(2)  # these fit together
    assert (rows_of(10) is ten, rows_of(2) is two) == (True, True)
    eight = rows_of(8)  # fits beside 2, the last used, but not beside 10
    assert (rows_of(8) is eight, rows_of(2) is two) == (True, True)
    again = rows_of(10)
    assert again is not ten
    assert torch.equal(again, ten)


def test_gradients_are_the_same_without_pytorchs_private_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    x, f, s, p, u = random(2, 5, 12, 16), random(2, 5, 6, 8), random(2, 1, 6, 8), random(2, 36), random(2, 1, 6, 6)

    def gradients() -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in (x, f, s, p, u)]
        down, up = downsample(leaves[0], *leaves[2:4]), upsample(leaves[1], *leaves[2:4])
        a, b = correlate_pair(leaves[0], leaves[4], 2 * leaves[4])
        return list(torch.autograd.grad((down.square() + a * b).sum() + up.square().sum(), leaves))

    with_them = gradients()
    shapes: list[torch.Size] = []
    public = torch.einsum

    def note(formula: str, *given: Tensor) -> Tensor:
        shapes.append(given[0].shape)
        return public(formula, *given)

    monkeypatch.setattr(torch.ops, "aten", SimpleNamespace())
    monkeypatch.setattr(cpu, "DOT_VALUES", 36 * 5 * 20)
    monkeypatch.setattr(cpu.torch, "einsum", note)
    cpu.embedding_dots_work.cache_clear()
    try:
        without = gradients()
    finally:
        cpu.embedding_dots_work.cache_clear()
    assert (20, 36, 5) in shapes  # 20 positions at a time
    assert sum(shape[0] for shape in shapes) == 2 * 6 * 8 * (3 + 4)  # upsampling has four outputs a position
    for one, other in zip(with_them, without, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_sums_of_16_bit_maps_are_rounded_once() -> None:
    s, p = torch.zeros(1, 1, 16, 16), torch.zeros(1, 36)  # every weight is 1/36 or 1/9
    large, small = ((100 + random(1, 8, size, size)).to(BF16) for size in (32, 16))
    for found, window, weight in (
        (downsample(large, s, p), large[0, :, 14:20, 14:20], 1 / 36),
        (upsample(small, s, p), small[0, :, 3:6, 3:6], 1 / 9),
    ):
        exact = window.double().sum((1, 2)) * torch.tensor(weight, dtype=BF16).double()
        assert ((found[0, :, 8, 8].double() - exact).abs() / exact).max() <= 2**-8


def test_kernels_sum_to_one() -> None:
    s, p = random(2, 1, 3, 4), 30 * random(2, 36, seed=1)
    assert torch.allclose(down_kernel(s, p).sum(2), torch.ones(2, 1, 3, 4, dtype=DOUBLE))
    assert torch.allclose(up_kernel(s, p).sum(2), torch.ones(2, 1, 6, 8, dtype=DOUBLE))


def test_scores_sum_over_the_rank_and_groups_stay_apart() -> None:
    s, p = random(2, 6, 3, 4), random(2, 2 * 9 * 3)  # two groups of rank 3, nine taps
    kernel = down_kernel(s, p, groups=2, norm="sigmoid")
    scores = torch.einsum("bgtr,bgrhw->bgthw", p.view(2, 2, 9, 3), s.view(2, 2, 3, 3, 4))
    assert torch.allclose(kernel, torch.sigmoid(scores))


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("size", [3, 4, 6])
def test_correlate_is_a_strided_convolution_with_each_images_own_kernel(channels: int, size: int) -> None:
    x, kernel = random(2, 5, 12, 16), random(2, channels, size, size, seed=1)
    weights, padding = kernel.expand(2, 5, size, size)[:, :, None], (size - 1) // 2
    each = [F.conv2d(x[b : b + 1], weights[b], stride=2, padding=padding, groups=5) for b in range(2)]
    assert torch.allclose(correlate(x, kernel), torch.cat(each), atol=1e-12)
    assert gradients_agree(correlate, [x[:, :, :4, :6].clone().requires_grad_(), kernel.requires_grad_()])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_given_kernels_of_any_size_reassemble_as_unfolded(size: int, groups: int) -> None:
    x, kernel = random(2, 2, 4, 6).requires_grad_(), random(2, groups, size**2, 2, 3).requires_grad_()
    assert torch.allclose(reassemble_down(x, kernel), unfolded_down(x, kernel), atol=1e-12)
    assert gradients_agree(reassemble_down, [x, kernel])
    if size % 2:
        f, kernel = random(1, 2, 2, 3).requires_grad_(), random(1, groups, size**2, 4, 6).requires_grad_()
        assert torch.allclose(reassemble_up(f, kernel), unfolded_up(f, kernel), atol=1e-12)
        assert gradients_agree(reassemble_up, [f, kernel])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="do not fit"):
        downsample(random(1, 2, 6, 6), random(1, 1, 2, 3), random(1, 36))
    with pytest.raises(RuntimeError, match="do not fit"):
        reassemble_down(random(1, 3, 6, 6), random(1, 2, 9, 3, 3))
    with pytest.raises(RuntimeError, match="pad it to even sizes"):
        correlate(random(1, 2, 5, 6), random(1, 1, 6, 6))
    with pytest.raises(RuntimeError, match="must be odd"):
        reassemble_up(random(1, 2, 3, 3), random(1, 1, 16, 6, 6))


# What PyTorch expects

SAMPLES: dict[str, tuple[str, list[tuple[int, ...]], list[object]]] = {
    "downsample": ("downsample", [(2, 4, 6, 8), (2, 1, 3, 4), (2, 36)], [list(WHOLE)]),
    "downsample window": ("downsample", [(1, 4, 8, 10), (1, 1, 3, 4), (1, 36)], [list(INNER)]),
    "upsample": ("upsample", [(2, 4, 3, 4), (2, 1, 3, 4), (2, 36)], [list(WHOLE)]),
    "correlate": ("correlate", [(2, 4, 6, 8), (2, 1, 6, 6)], [list(WHOLE)]),
    "correlate unshared": ("correlate", [(2, 4, 6, 8), (2, 4, 4, 4)], [list(WHOLE)]),
    "correlate pair": ("correlate_pair", [(2, 4, 6, 8), (2, 1, 6, 6), (2, 1, 6, 6)], [list(WHOLE)]),
    "reassemble down": ("reassemble_down", [(2, 4, 6, 8), (2, 2, 16, 3, 4)], []),
    "reassemble up": ("reassemble_up", [(2, 4, 3, 4), (2, 2, 25, 6, 8)], []),
}


def sample(
    name: str, layout: torch.memory_format, dtype: torch.dtype = torch.float32
) -> tuple[Callable[..., object], list[object]]:
    operator, shapes, rest = SAMPLES[name]
    tensors = [random(*shape, seed=seed).to(dtype) for seed, shape in enumerate(shapes)]
    tensors[0] = tensors[0].contiguous(memory_format=layout)
    return getattr(torch.ops.mattecli, operator), [*(t.requires_grad_() for t in tensors), *rest]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("name", SAMPLES)
def test_operators_are_registered_soundly(name: str, layout: torch.memory_format) -> None:
    operator, values = sample(name, layout)
    torch.library.opcheck(operator, tuple(values), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")  # PyTorch's, where it would take the derivative for zero
@pytest.mark.parametrize("name", SAMPLES)
def test_a_second_derivative_is_refused_and_not_zero(name: str) -> None:
    operator, values = sample(name, torch.contiguous_format)
    out = operator(*values)
    total = torch.stack([each.sum() for each in (out if isinstance(out, tuple) else (out,))]).sum()  # type: ignore[attr-defined]
    (first,) = torch.autograd.grad(total, [values[0]], create_graph=True)  # type: ignore[list-item]
    with pytest.raises(RuntimeError, match=f"{SAMPLES[name][0]} has no second derivatives; differentiate it once"):
        first.square().sum().backward()


@pytest.mark.parametrize("name", SAMPLES)
def test_meta_tensors_have_the_results_shapes(name: str) -> None:
    operator, values = sample(name, torch.channels_last)
    real = operator(*values)
    meta = operator(*(v.detach().to("meta") if isinstance(v, Tensor) else v for v in values))
    for one, other in zip(*(o if isinstance(o, tuple) else (o,) for o in (real, meta)), strict=True):
        assert other.is_meta
        assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
