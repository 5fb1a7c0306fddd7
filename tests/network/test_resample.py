from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.network import resample
from mattecli.network.resample import correlate, down_kernel, downsample, up_kernel, upsample

DOUBLE = torch.float64


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def unfolded_downsample(x: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """The formula written the obvious way: every 6×6 window taken out and weighted."""
    batch, channels = x.shape[:2]
    windows = F.unfold(x, 6, padding=2, stride=2).view(batch, channels, 36, *s.shape[2:])
    return (windows * torch.softmax(p[:, :, None, None] * s, 1)[:, None]).sum(2)


def unfolded_upsample(f: Tensor, s: Tensor, p: Tensor) -> Tensor:
    batch, channels, height, width = f.shape
    kernel = torch.softmax(torch.sigmoid(F.pixel_shuffle(p[:, :, None, None] * s, 2)), 1)  # (B, 9, H, W)
    windows = F.unfold(f, 3, padding=1).view(batch, channels * 9, height, width)
    windows = windows.repeat_interleave(2, 2).repeat_interleave(2, 3).view(batch, channels, 9, 2 * height, 2 * width)
    return (windows * kernel[:, None]).sum(2)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_resampling_equals_the_unfolded_formula(grad: bool, layout: torch.memory_format) -> None:
    x, s, p = (
        random(2, 5, 38, 150).contiguous(memory_format=layout),
        random(2, 1, 19, 75, seed=1),
        random(2, 36, seed=2),
    )
    with torch.set_grad_enabled(grad):
        assert torch.allclose(downsample(x, s, p), unfolded_downsample(x, s, p), atol=1e-12)
        f = random(2, 5, 19, 75, seed=3).contiguous(memory_format=layout)
        assert torch.allclose(upsample(f, s, p), unfolded_upsample(f, s, p), atol=1e-12)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, s, p = random(1, 8, 96, 160), random(1, 1, 48, 80, seed=1), random(1, 36, seed=2)
    with torch.no_grad():
        whole = downsample(x, s, p), upsample(x[:, :, :48, :80], s, p)
        monkeypatch.setitem(resample.BLOCK_ELEMENTS, "cpu", 8 * 64)  # one row of 64 positions at a time
        blocked = downsample(x, s, p), upsample(x[:, :, :48, :80], s, p)
    assert all(torch.equal(one, other) for one, other in zip(whole, blocked, strict=True))


def test_kernels_sum_to_one() -> None:
    s, p = random(2, 1, 3, 4), 30 * random(2, 36, seed=1)
    assert torch.allclose(down_kernel(s, p).sum(1), torch.ones(2, 3, 4, dtype=DOUBLE))
    assert torch.allclose(up_kernel(s, p).sum(1), torch.ones(2, 4, 3, 4, dtype=DOUBLE))


@pytest.mark.parametrize("channels", [1, 5])
def test_correlate_is_a_strided_convolution_with_each_images_own_kernel(channels: int) -> None:
    x, kernel = random(2, 5, 12, 16), random(2, channels, 6, 6, seed=1)
    each = [F.conv2d(x[b : b + 1], kernel[b].expand(5, 6, 6)[:, None], stride=2, padding=2, groups=5) for b in range(2)]
    assert torch.allclose(correlate(x, kernel), torch.cat(each), atol=1e-12)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (downsample, [(2, 3, 6, 10), (2, 1, 3, 5), (2, 36)]),
        (upsample, [(2, 3, 3, 5), (2, 1, 3, 5), (2, 36)]),
        (correlate, [(2, 3, 6, 10), (2, 1, 6, 6)]),
        (correlate, [(2, 3, 6, 10), (2, 3, 6, 6)]),
    ],
    ids=["downsample", "upsample", "correlate shared", "correlate unshared"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_right(
    function: Callable[..., Tensor], shapes: list[tuple[int, ...]], layout: torch.memory_format
) -> None:
    inputs = [random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    inputs[0] = inputs[0].contiguous(memory_format=layout)
    assert torch.autograd.gradcheck(function, [value.requires_grad_() for value in inputs])
