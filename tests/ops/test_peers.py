"""The operators that A2U is compared with (`experiments/upsamplers.py`), against their papers' formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.upsamplers import PAIRS, Carafe, HolisticIndex, Unpooling


def seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_halves_and_doubles_and_learns(name: str) -> None:
    torch.manual_seed(0)
    pair = PAIRS[name](8)
    x = seeded(2, 8, 12, 16).requires_grad_()
    small, kept = pair.down(x)
    large = pair.up(small, kept)
    assert (small.shape, large.shape) == ((2, 8, 6, 8), (2, 8, 12, 16))
    large.square().sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) > 0


def test_unpooling_puts_maxima_back_where_they_stood() -> None:
    x = seeded(1, 2, 4, 4)
    small, kept = Unpooling().down(x)
    large = Unpooling().up(small, kept)
    assert torch.equal(large[large != 0], x[large != 0])
    assert int((large != 0).sum()) == 2 * 4


def test_carafe_weighs_five_by_five_neighbours_by_softmax_kernels() -> None:
    torch.manual_seed(0)
    pair, f = Carafe(3), seeded(1, 3, 4, 5)
    weights = torch.softmax(F.pixel_shuffle(pair.encode(pair.compress(f)), 2), 1)[0, :, 3, 6]  # of position (1, 3)
    window = F.pad(f, (2, 2, 2, 2))[0, :, 1:6, 3:8]
    assert torch.allclose(pair.up(f, None)[0, :, 3, 6], (window.flatten(1) * weights).sum(1), atol=1e-5)


def test_the_holistic_index_weighs_four_pixels_by_one_softmax_and_shares_its_sigmoid() -> None:
    torch.manual_seed(0)
    pair, x = HolisticIndex(3).eval(), seeded(1, 3, 4, 4)
    index = torch.sigmoid(pair.index(x))[0, :, 1, 0]
    small, kept = pair.down(x)
    block = x[0, :, 2:4, 0:2].flatten(1)
    assert torch.allclose(small[0, :, 1, 0], (block * torch.softmax(index, 0)).sum(1), atol=1e-6)
    assert torch.allclose(pair.up(small, kept)[0, :, 2, 1], small[0, :, 1, 0] * index[1], atol=1e-6)
