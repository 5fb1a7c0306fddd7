"""Convolutions that oneDNN finishes, beside the plain ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mattecli.network import onednn

SHAPE = (1, 8, 12, 10)


def test_a_fused_leaky_convolution_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(SHAPE), torch.randn(8, 1, 3, 3), torch.randn(8)
    fused = onednn.leaky_conv(x, weight, bias, (2, 1), (1, 2), (1, 2), 8)
    monkeypatch.setattr(onednn, "fuses", lambda _: False)
    plain = onednn.leaky_conv(x, weight, bias, (2, 1), (1, 2), (1, 2), 8)
    assert (plain < 0).any()
    torch.testing.assert_close(fused, plain)


def test_what_is_added_is_a_part_of_the_convolution() -> None:
    torch.manual_seed(0)
    x, plus, weight = torch.randn(SHAPE), torch.randn(SHAPE), torch.randn(8, 8, 3, 3)
    if not onednn.fuses(x):
        pytest.skip("this PyTorch has no fused convolutions")
    expected = F.conv2d(x, weight, padding=1) + plus
    torch.testing.assert_close(
        onednn.adding_conv(x, plus, weight, None, padding=(1, 1)), expected, rtol=1e-4, atol=1e-4
    )


def test_a_processor_without_bfloat16_takes_the_plain_way_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(SHAPE)
    in_float32 = onednn.fuses(x)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not onednn.fuses(x.bfloat16())
    assert onednn.fuses(x) == in_float32
    weight = torch.randn(8, 1, 3, 3)
    plain = F.leaky_relu(F.conv2d(x.bfloat16(), weight.bfloat16(), groups=8), 0.01)
    torch.testing.assert_close(onednn.leaky_conv(x.bfloat16(), weight.bfloat16(), None, groups=8), plain)


def test_half_and_double_are_left_to_the_plain_way() -> None:
    assert not onednn.fuses(torch.zeros(SHAPE, dtype=torch.float16))
    assert not onednn.fuses(torch.zeros(SHAPE, dtype=torch.float64))
