"""The modules: every variant's gradients, and that PyTorch can compile, export and cast them."""

import doctest
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli import ops
from mattecli.ops import A2UDownsample, A2UUpsample, KernelPredictor
from mattecli.ops.affinity import _pool, windows_mean

STATIC: dict[str, Any] = {"u": "static", "v": "static", "p": "static"}
VARIANTS: dict[str, dict[str, Any]] = {
    "released": {},
    "channel-wise": {"shared": False},
    "static": STATIC,
    "static channel-wise": {**STATIC, "shared": False},
    "hybrid, p static": {"p": "static"},
    "hybrid, u and v static": {"u": "static", "v": "static"},
    "first order": {"order": 1},
    "first order static": {"order": 1, "u": "static", "p": "static"},
    "rank 3": {"rank": 3},
    "rank 2 channel-wise": {"rank": 2, "shared": False},
    "2 groups": {"groups": 2},
    "2 groups of rank 2": {"groups": 2, "rank": 2},
    "other sizes": {"down": 4, "up": 5, "encode": 4},
    "odd sizes": {"down": 3, "up": 1, "encode": 3},
}
NORMS = ["softmax", "sigmoid", "sigmoid-softmax"]


class Hourglass(nn.Module):
    """Down and up again by one affinity."""

    def __init__(self, channels: int = 4, *, norm: str | None = None, **settings: Any) -> None:
        super().__init__()
        chosen: dict[str, Any] = {"groups": settings.get("groups", 1)} | ({"norm": norm} if norm else {})
        self.predict = KernelPredictor(channels, **settings)
        self.halve, self.enlarge = A2UDownsample(**chosen), A2UUpsample(**chosen)

    def forward(self, x: Tensor) -> Tensor:
        affinity = self.predict(x)
        return self.enlarge(self.halve(x, affinity), affinity)  # type: ignore[no-any-return]


def seeded(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def made(**settings: Any) -> Hourglass:
    torch.manual_seed(1)
    return Hourglass(**settings)


def check_gradients(net: Hourglass, x: Tensor) -> None:
    """Of the input and of all parameters, in float64."""
    names, values = zip(*net.double().named_parameters(), strict=True)

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x,))  # type: ignore[no-any-return]

    leaves = [x.requires_grad_(), *(value.detach().requires_grad_() for value in values)]
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True, nondet_tol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_the_right_gradients(variant: str) -> None:
    check_gradients(made(**VARIANTS[variant]), seeded(2, 4, 8, 12, dtype=torch.float64))


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_has_the_right_gradients(norm: str) -> None:
    check_gradients(made(norm=norm), seeded(2, 4, 8, 12, dtype=torch.float64))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_of_every_variant_gets_a_gradient(variant: str) -> None:
    net = made(**VARIANTS[variant])
    net(seeded(2, 4, 8, 12)).square().sum().backward()
    idle = (
        {"predict.bconv_UP.1.weight"} if VARIANTS[variant].get("up") == 1 else set()
    )  # one tap weighs always the same
    for name, parameter in net.named_parameters():
        zero = parameter.grad is None or not bool(parameter.grad.abs().max() > 0)
        assert not zero or name in idle | {"predict.bconv_UP.1.bias"}, name


def test_scores_follow_the_paper() -> None:
    """Rank 2, two groups, first by hand: K = norm(P · Σ_c φ(Uᵀx)_c · φ(Vᵀx)_c / √C)."""
    torch.manual_seed(0)
    predict = KernelPredictor(4, rank=2, groups=2, **STATIC).double()
    x = seeded(1, 4, 8, 8, dtype=torch.float64)
    found = predict(x)
    products = []
    for factor, phi in ((predict.bconv_U, predict.bnu), (predict.bconv_V, predict.bnv)):
        weight = factor[1].weight  # (rank, 6, 6)
        each = [F.conv2d(x, w.expand(4, 1, 6, 6), stride=2, padding=2, groups=4) for w in weight]
        products.append(phi(torch.cat(each, 1)))  # rank by rank, four channels each
    both = products[0] * products[1]
    for group in range(2):
        for rank in range(2):
            channels = both[:, 4 * rank + 2 * group : 4 * rank + 2 * group + 2]
            assert torch.allclose(found.s[:, 2 * group + rank], channels.sum(1) / math.sqrt(2))


def test_first_order_is_linear_in_the_first_factor() -> None:
    predict = KernelPredictor(4, order=1)
    assert not hasattr(predict, "bconv_V")
    u = seeded(1, 4, 3, 3)
    assert torch.allclose(predict.product_sum(2 * u, None), 2 * predict.product_sum(u, None))


def test_static_kernels_do_not_know_the_rest_of_the_map_before_the_norm() -> None:
    static = KernelPredictor(4, **STATIC)
    x, other = seeded(1, 4, 8, 8), 3 * seeded(1, 4, 8, 8).flip(3)
    pools = [(F.adaptive_avg_pool2d(t, 6), F.adaptive_avg_pool2d(t, 1)) for t in (x, other)]
    for one, two in zip(*(static.factors(*pool) for pool in pools), strict=True):
        assert torch.equal(one, two)
    dynamic = KernelPredictor(4)
    for one, two in zip(*(dynamic.factors(*pool) for pool in pools), strict=True):
        assert not torch.equal(one, two)


@pytest.mark.parametrize("settings", [{"groups": 3}, {"rank": 0}, {"order": 3}, {"up": 4}, {"u": "other"}], ids=str)
def test_what_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a predictor cannot have|dynamic or static"):
        KernelPredictor(4, **settings)
    with pytest.raises(ValueError, match="choose softmax"):
        made(norm="max")(seeded(1, 4, 4, 4))


@pytest.mark.parametrize(("predicted", "taken"), [(2, 1), (1, 2), (2, 4)])
def test_an_affinity_of_other_groups_is_refused(predicted: int, taken: int) -> None:
    x = seeded(1, 4, 8, 8)
    affinity = KernelPredictor(4, groups=predicted)(x)
    told = rf"predictor with groups={predicted}, and this module has groups={taken}; give both the same$"
    for module in (A2UDownsample, A2UUpsample):
        with pytest.raises(ValueError, match=told):
            module(groups=taken)(x, affinity)
    unnamed = affinity._replace(groups=None)  # made by hand
    assert torch.equal(A2UDownsample(groups=predicted)(x, unnamed), A2UDownsample(groups=predicted)(x, affinity))


@pytest.mark.filterwarnings("ignore")  # the compiler's advice
@pytest.mark.parametrize("variant", ["released", "static", "first order", "2 groups of rank 2"])
def test_compiled_modules_give_the_same_results_and_gradients(variant: str) -> None:
    net = made(**VARIANTS[variant])
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    outcomes = []
    for function in (net, compiled):
        x = seeded(2, 4, 8, 12).requires_grad_()
        out = function(x)
        outcomes.append([out, *torch.autograd.grad(out.square().sum(), [x, *net.parameters()], allow_unused=True)])
    for one, other in zip(*outcomes, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("variant", ["released", "static", "2 groups of rank 2"])
def test_exported_programs_give_the_same(variant: str) -> None:
    net, x = made(**VARIANTS[variant]).eval(), seeded(2, 4, 8, 12)
    program = torch.export.export(net, (x,))
    assert any("mattecli" in str(node.target) for node in program.graph.nodes)
    assert torch.allclose(program.module()(x), net(x), atol=1e-6)


@pytest.mark.parametrize("variant", ["released", "channel-wise", "2 groups of rank 2"])
def test_autocast_keeps_the_maps_type_and_stays_close(variant: str) -> None:
    net, x = made(**VARIANTS[variant]), seeded(2, 4, 8, 12)
    with torch.autocast("cpu", torch.bfloat16):
        wide, narrow = net(x), net(x.bfloat16())
        narrow.float().square().sum().backward()
    assert (wide.dtype, narrow.dtype) == (torch.float32, torch.bfloat16)
    assert (narrow - net(x)).abs().max() < 0.1
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in net.parameters())


def test_the_pool_for_training_on_cards_is_pytorchs() -> None:
    x = seeded(2, 4, 12, 18).double().requires_grad_()
    pools = [windows_mean(x, 6), F.adaptive_avg_pool2d(x, 6)]
    weight = seeded(2, 4, 6, 6).double()
    ours, theirs = (torch.autograd.grad((pool * weight).sum(), x)[0] for pool in pools)
    assert torch.allclose(*pools, atol=1e-12)
    assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(("is_cuda", "width", "own"), [(True, 18, True), (True, 16, False), (False, 18, False)])
def test_that_pool_is_for_cards_and_sides_that_it_divides(
    is_cuda: bool, width: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled: list[int] = []
    monkeypatch.setattr("mattecli.ops.affinity.windows_mean", lambda _, bins: pooled.append(bins))
    monkeypatch.setattr("mattecli.ops.affinity.F.adaptive_avg_pool2d", lambda *_: None)
    x: Any = SimpleNamespace(is_cuda=is_cuda, shape=(2, 4, 12, width))
    _pool(x, 6)
    assert pooled == [6] * own
    with torch.no_grad():
        _pool(x, 6)
    assert pooled == [6] * own


@pytest.mark.parametrize("variant", VARIANTS)
def test_modules_run_on_meta_tensors(variant: str) -> None:
    net = made(**VARIANTS[variant]).to("meta")
    assert net(torch.empty(2, 4, 8, 12, device="meta")).shape == (2, 4, 8, 12)


def test_the_package_exports_what_it_says() -> None:
    modules = {"affinity", "cpu", "fused", "fused_kernels", "kernels", "library", "loops", "reference", "resample"}
    assert {name for name in vars(ops) if not name.startswith("_")} - modules == set(ops.__all__)


def test_the_example_of_the_page_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "operator.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried >= 5
    assert failed == 0
