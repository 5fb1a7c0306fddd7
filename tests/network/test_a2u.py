import json

import numpy as np
import pytest
import torch
from torch import Tensor

from mattecli.network.a2u import A2UNet
from mattecli.network.affinity import Affinity
from mattecli.network.fold import fold_norms
from mattecli.ops import down_kernel, up_kernel
from tests.support.reference import FOLDER, Case, cases, seeded_network

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_network_is_the_authors_own_in_float64(case: Case) -> None:
    assert case.error(case.network(), torch.float64) <= 5e-6


@pytest.mark.parametrize("case", CASES, ids=str)
def test_network_is_the_authors_own_in_float32(case: Case) -> None:
    net = case.network()
    assert case.error(net, torch.float32) <= 2e-5
    assert case.error(fold_norms(net), torch.float32) <= 2e-5


@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_training_graph_computes_the_same_alpha_as_inference(case: Case) -> None:
    net = case.network().double()
    x = torch.tensor(case.x, dtype=torch.float64)
    with torch.no_grad():
        inferred = net(x)
    assert torch.allclose(net(x), inferred, atol=1e-12)


def test_under_autocast_the_alpha_is_not_rounded_to_16_bits() -> None:
    case = CASES[0]
    with torch.autocast("cpu", torch.bfloat16):
        alpha = case.network()(torch.tensor(case.x, dtype=torch.float32))
    assert alpha.dtype == torch.float32
    assert not torch.equal(alpha, alpha.bfloat16().float())


@pytest.mark.parametrize("variant", ["shared", "unshared"])
def test_tensors_have_the_authors_names_shapes_and_order(variant: str) -> None:
    net = A2UNet(shared=variant == "shared")
    expected = json.loads((FOLDER / f"state_dict_{variant}.json").read_text())
    assert [(name, list(tensor.shape)) for name, tensor in net.state_dict().items()] == list(expected.items())
    parameters = sum(parameter.numel() for parameter in net.parameters())
    assert parameters == {"shared": 8_089_235, "unshared": 8_269_451}[variant]


def test_inner_maps_and_kernels_are_the_authors_own() -> None:
    case = CASES[0]
    net = case.network().double()
    expected = json.loads((FOLDER / "network_taps_case0.json").read_text())
    taps: dict[str, Tensor] = {}

    def keep(name: str, out: Tensor | Affinity | tuple[Tensor, Affinity]) -> None:
        if isinstance(out, Affinity):
            taps[f"{name}.0"], taps[f"{name}.1"] = down_kernel(out.s, out.p_down), up_kernel(out.s, out.p_up)
        elif isinstance(out, tuple):
            taps[f"{name}.0"], taps[f"{name}.1"] = out[0], up_kernel(out[1].s, out[1].p_up)
        else:
            taps[f"{name}.0"] = out

    for name in {key[:-2] for key in expected}:
        net.get_submodule(name).register_forward_hook(lambda _module, _inputs, out, name=name: keep(name, out))
    with torch.no_grad():
        net(torch.tensor(case.x, dtype=torch.float64))
    inside = {"layer2_1.2", "layer3_1.2"}  # x0 never leaves its block
    assert set(taps) == set(expected) - inside
    for name, tap in taps.items():
        found = [tap.mean(), tap.std(), tap.abs().max(), tap.flatten()[0], tap.flatten()[-1]]
        assert np.allclose([float(number) for number in found], expected[name], rtol=1e-5, atol=1e-6), name


def test_every_parameter_gets_a_gradient() -> None:
    net = seeded_network(7, shared=True)
    # Large enough for the widest dilation of ASPP to see more than its padding.
    net(torch.randn(1, 4, 304, 304, generator=torch.Generator().manual_seed(0))).abs().mean().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)]
    assert silent == []
