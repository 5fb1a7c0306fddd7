"""Stages of the network that other tests do not see alone."""

from __future__ import annotations

import pytest
import torch

from mattecli.network.stages import pool


@pytest.mark.parametrize("height", [3450, 7000])
def test_sums_over_many_rows_stay_in_the_range_of_16_bits(height: int) -> None:
    f = torch.full((1, 3, height, 4), 19.0, dtype=torch.float16)  # as much as pure green gives
    rows = torch.stack([torch.ones(height), torch.arange(height) < 2])
    found = pool(f, rows, torch.ones(1, 4))
    torch.testing.assert_close(found[0, :, 0], 19.0 * 4 * rows.sum(1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_that_range_changes_no_bit_of_other_types(dtype: torch.dtype) -> None:
    f = torch.randn(1, 8, 300, 40, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows, columns = (torch.arange(300) < torch.tensor([[70], [300]])).float(), torch.ones(2, 40)
    by_row = (rows.to(dtype) @ f[0].permute(1, 2, 0).flatten(1)).view(2, 40, 8).float()
    assert torch.equal(pool(f, rows, columns), (columns @ by_row).permute(2, 0, 1))
