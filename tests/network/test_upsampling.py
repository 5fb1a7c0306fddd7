from pathlib import Path

import pytest
import torch
from torch import Tensor

from mattecli.errors import WeightsError
from mattecli.geometry import WHOLE, Edges
from mattecli.network.a2u import A2UNet
from mattecli.network.affinity import Affinity
from mattecli.network.blocks import DecoderLayer, Upsampling
from mattecli.network.checkpoint import load_a2u, save_a2u
from tests.support.reference import seeded_network

PLAIN: tuple[Upsampling, ...] = ("nearest", "bilinear")


def plain_network(upsampling: Upsampling, *, shared: bool = True) -> A2UNet:
    """The seeded network's weights, as far as this upsampling needs them."""
    net = A2UNet(shared=shared, upsampling=upsampling)
    net.load_state_dict(
        {**seeded_network(7, shared=shared).state_dict(), "upsampling_taps": net.upsampling_taps}, strict=False
    )
    return net.eval()


def seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def no_affinity(s: Tensor) -> Affinity:
    return Affinity(s, torch.zeros(1, 36), torch.zeros(1, 0))


class Unchanged(torch.nn.Module):
    """In place of a decoder's blocks, to see what they get."""

    def forward(self, x: Tensor, _: Edges) -> Tensor:
        return x


@pytest.mark.parametrize("upsampling", PLAIN)
def test_without_affinity_upsampling_its_generators_do_not_exist(upsampling: Upsampling) -> None:
    with_it, without = A2UNet(), A2UNet(upsampling=upsampling)
    missing = set(dict(with_it.named_parameters())) - set(dict(without.named_parameters()))
    assert len(missing) == 2 * 4
    assert all("bconv_UP" in name for name in missing)
    count = sum(parameter.numel() for parameter in without.parameters())
    assert count == 8_089_235 - sum(36 * (channels + 1) for channels in (64, 64, 128, 256))


@pytest.mark.parametrize("upsampling", PLAIN)
def test_every_parameter_of_a_plain_decoder_gets_a_gradient(upsampling: Upsampling) -> None:
    net = plain_network(upsampling)
    net(torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))).abs().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)] == []


def test_nearest_upsampling_repeats_and_bilinear_weighs_three_quarters_to_one() -> None:
    x = seeded(1, 16, 3, 4)
    doubled: dict[Upsampling, Tensor] = {}
    for upsampling in PLAIN:
        layer = DecoderLayer(16, 8, upsampling=upsampling).double().eval()
        layer.dconv, layer.dconv1 = Unchanged(), Unchanged()  # type: ignore[assignment]
        doubled[upsampling] = layer(x, no_affinity(x[:, :1]), torch.zeros(1, 16, 6, 8, dtype=torch.float64), WHOLE)
    assert torch.equal(doubled["nearest"], x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    row = 0.75 * x[:, :, 1] + 0.25 * x[:, :, 0]
    assert torch.allclose(doubled["bilinear"][:, :, 2, 3], 0.75 * row[..., 1] + 0.25 * row[..., 2])


@pytest.mark.parametrize("upsampling", PLAIN)
def test_a_window_of_a_plain_decoder_layer_equals_the_whole(upsampling: Upsampling) -> None:
    layer = DecoderLayer(16, 8, upsampling=upsampling).double().eval()
    x, shortcut = seeded(1, 16, 12, 14), seeded(1, 16, 24, 28)
    with torch.no_grad():
        whole = layer(x, no_affinity(x[:, :1]), shortcut)
        # Rows 4 to 10 of the small map, all columns to the right of 3; one more of x at the inner sides.
        part = layer(
            x[:, :, 3:11, 2:], no_affinity(x[:, :1]), shortcut[:, :, 8:20, 6:], Edges(False, False, False, True)
        )
    assert torch.allclose(part, whole[:, :, 12:16, 10:], atol=1e-12)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
@pytest.mark.parametrize("upsampling", PLAIN)
def test_a_checkpoint_tells_how_its_decoder_upsamples(upsampling: Upsampling, shared: bool, tmp_path: Path) -> None:
    net = plain_network(upsampling, shared=shared)
    save_a2u(net, tmp_path / "half.safetensors")
    torch.save({"state_dict": {f"module.{name}": t for name, t in net.state_dict().items()}}, tmp_path / "plain.pt")
    x = torch.rand(1, 4, 32, 48)
    for name in ("half.safetensors", "plain.pt"):
        loaded = load_a2u(tmp_path / name)
        assert (loaded.upsampling, loaded.shared) == (upsampling, shared)
    with torch.no_grad():
        assert torch.equal(loaded(x), net(x))


def test_an_unknown_upsampling_is_refused(tmp_path: Path) -> None:
    state = plain_network("nearest").state_dict()
    state["upsampling_taps"] = torch.tensor([0.5, 0.5])
    save_a2u(state, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match=r"odd\.safetensors upsamples by the weights \(0\.5, 0\.5\)"):
        load_a2u(tmp_path / "odd.safetensors")
