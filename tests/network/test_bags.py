import pytest
import torch
from torch import Tensor

from mattecli.network import bags

BF16 = torch.bfloat16


def seeded(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


@pytest.mark.parametrize("size", [(2, 2), (2, 8), (14, 2)])
def test_gradients_of_the_smallest_maps_are_right(size: tuple[int, int]) -> None:
    height, width = size
    s, p = seeded(1, 1, height // 2, width // 2), seeded(1, 36)
    x, f, kernel = seeded(1, 2, height, width), seeded(1, 2, height // 2, width // 2), seeded(1, 6, 6)
    assert torch.autograd.gradcheck(bags.downsample, [t.requires_grad_() for t in (x, s, p)])
    assert torch.autograd.gradcheck(bags.upsample, [t.detach().requires_grad_() for t in (f, s, p)])
    assert torch.autograd.gradcheck(bags.correlate, [t.detach().requires_grad_() for t in (x, kernel)])


def test_sums_of_16_bit_maps_are_rounded_once() -> None:
    s, p = torch.zeros(1, 1, 16, 16), torch.zeros(1, 36)  # every weight is 1/36 or 1/9
    large, small = ((100 + seeded(1, 8, size, size)).to(BF16) for size in (32, 16))
    for found, window, weight in (
        (bags.downsample(large, s, p), large[0, :, 14:20, 14:20], 1 / 36),
        (bags.upsample(small, s, p), small[0, :, 3:6, 3:6], 1 / 9),
    ):
        exact = window.double().sum((1, 2)) * torch.tensor(weight, dtype=BF16).double()
        assert ((found[0, :, 8, 8].double() - exact).abs() / exact).max() <= 2**-8
