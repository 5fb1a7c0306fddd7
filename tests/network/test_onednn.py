"""Convolutions that oneDNN finishes, beside the plain ones."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.network import onednn
from mattecli.network.fold import fold_norms
from mattecli.network.stages import moments
from tests.support.reference import seeded_network

SHAPE = (1, 8, 12, 10)
ALWAYS = sys.platform == "linux" and platform.machine() == "x86_64"  # PyTorch's own builds fuse there


def need_fused(x: Tensor) -> None:
    """Skip a test where nothing fuses, but fail where PyTorch is known to have fused convolutions."""
    if not onednn.fuses(x):
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        assert not (ALWAYS and has_onednn), "no convolution is fused"
        pytest.skip("this PyTorch has no fused convolutions")


def test_a_fused_leaky_convolution_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(SHAPE), torch.randn(8, 1, 3, 3), torch.randn(8)
    need_fused(x)
    fused = onednn.leaky_conv(x, weight, bias, (2, 1), (1, 2), (1, 2), 8)
    monkeypatch.setattr(onednn, "fuses", lambda _: False)
    plain = onednn.leaky_conv(x, weight, bias, (2, 1), (1, 2), (1, 2), 8)
    assert (plain < 0).any()
    torch.testing.assert_close(fused, plain)


def test_what_is_added_is_a_part_of_the_convolution() -> None:
    torch.manual_seed(0)
    x, plus, weight = torch.randn(SHAPE), torch.randn(SHAPE), torch.randn(8, 8, 3, 3)
    need_fused(x)
    expected = F.conv2d(x, weight, padding=1) + plus
    torch.testing.assert_close(
        onednn.adding_conv(x, plus, weight, None, padding=(1, 1)), expected, rtol=1e-4, atol=1e-4
    )


@pytest.fixture
def tried_anew() -> Iterator[None]:
    """The trial of the fused forms is made again in a test, and again after it."""
    onednn._works.cache_clear()
    yield
    onednn._works.cache_clear()


@pytest.mark.usefixtures("tried_anew")
def test_a_processor_without_bfloat16_takes_the_plain_way_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(SHAPE)
    in_float32 = onednn.fuses(x)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not onednn.fuses(x.bfloat16())
    assert onednn.fuses(x) == in_float32
    weight = torch.randn(8, 1, 3, 3)
    plain = F.leaky_relu(F.conv2d(x.bfloat16(), weight.bfloat16(), groups=8), 0.01)
    torch.testing.assert_close(onednn.leaky_conv(x.bfloat16(), weight.bfloat16(), None, groups=8), plain)


class OtherArguments:
    """As a later PyTorch's function might be."""

    def __call__(self, *_: object) -> Tensor:
        raise RuntimeError("mkldnn::_convolution_pointwise() expected other arguments")


@pytest.mark.usefixtures("tried_anew")
@pytest.mark.parametrize(
    "found", [SimpleNamespace(), SimpleNamespace(_convolution_pointwise=OtherArguments())], ids=["gone", "changed"]
)
def test_without_pytorchs_private_functions_public_ones_give_the_same(
    found: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = fold_norms(seeded_network(7, shared=True))
    x = torch.randn(1, 4, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        with_them = net(x)
        monkeypatch.setattr(torch.ops, "mkldnn", found)
        onednn._works.cache_clear()
        assert not onednn.fuses(x)
        without = net(x)
    torch.testing.assert_close(without, with_them, rtol=1e-4, atol=1e-5)


def test_statistics_are_the_same_without_pytorchs_undocumented_function(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    f, u, v = (torch.randn(shape, generator=generator) for shape in ((1, 64, 36, 44), (1, 1, 6, 6), (1, 1, 6, 6)))
    with_it = moments(f, u, v)
    monkeypatch.delattr(torch, "batch_norm_update_stats")
    torch.testing.assert_close(moments(f, u, v), with_it)


def test_half_and_double_are_left_to_the_plain_way() -> None:
    assert not onednn.fuses(torch.zeros(SHAPE, dtype=torch.float16))
    assert not onednn.fuses(torch.zeros(SHAPE, dtype=torch.float64))


def test_what_is_added_is_added_the_plain_way_in_a_type_that_does_not_fuse() -> None:
    torch.manual_seed(0)
    x, plus, weight = (torch.randn(shape, dtype=torch.float64) for shape in (SHAPE, SHAPE, (8, 8, 3, 3)))
    assert not onednn.fuses(x)
    added = onednn.adding_conv(x, plus, weight, None, padding=(1, 1))
    torch.testing.assert_close(added, F.conv2d(x, weight, padding=1) + plus)


@pytest.mark.usefixtures("tried_anew")
def test_without_onednn_nothing_fuses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: bool(asked.append(True)))
    assert not onednn.fuses(torch.randn(SHAPE))
    assert asked
