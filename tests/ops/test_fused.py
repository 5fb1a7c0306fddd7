"""The kernels against the formula: by Triton's interpreter on a machine without a card, else on the card."""

import importlib.util
import os
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import resample as benchmark
from mattecli.geometry import WHOLE, Edges
from mattecli.ops import KernelPredictor, fused, resample

CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported, which nothing has done yet

ROOT = Path(__file__).parents[2]

needs_card = pytest.mark.skipif(not CUDA, reason="there is no CUDA device")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
runs_kernels = pytest.mark.usefixtures("kernels")
# NumPy warns of what Triton's interpreter does with numbers.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")

DEVICE = "cuda" if CUDA else "cpu"
TYPES = [torch.float32, torch.bfloat16, torch.float16]
# Of the largest value: sums are float32, but a result is rounded to its type.
BOUNDS = {torch.float32: 5e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}
LAYOUTS = [torch.channels_last, torch.contiguous_format]

Tensors = list[Tensor]


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the kernels on; without a card, the interpreter runs them."""
    monkeypatch.setattr(fused, "enabled", True)
    if not CUDA:
        monkeypatch.setattr(fused, "usable", lambda _x, **_: True)


def unfolded_downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges) -> Tensor:
    """Every 6×6 window taken out and weighted."""
    windows = F.unfold(pad(x, 2, edges), 6, stride=2).view(*x.shape[:2], 36, *s.shape[2:])
    return (windows * torch.softmax(p[:, :, None, None] * s, 1)[:, None]).sum(2)


def unfolded_upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges) -> Tensor:
    """Every 3×3 window taken out and weighted four times."""
    (batch, channels), (height, width) = f.shape[:2], s.shape[2:]
    kernel = torch.softmax(torch.sigmoid(F.pixel_shuffle(p[:, :, None, None] * s, 2)), 1)  # (B, 9, H, W)
    windows = F.unfold(pad(f, 1, edges), 3).view(batch, channels * 9, height, width)
    windows = F.interpolate(windows, scale_factor=2).view(batch, channels, 9, 2 * height, 2 * width)
    return (windows * kernel[:, None]).sum(2)


def convolved(x: Tensor, u: Tensor, v: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """Every image's own strided convolution, twice."""
    batch, channels = x.shape[:2]

    def convolve(kernel: Tensor) -> Tensor:
        weight = kernel.expand(batch, channels, 6, 6).reshape(-1, 1, 6, 6)
        out = F.conv2d(pad(x, 2, edges).flatten(0, 1)[None], weight, stride=2, groups=batch * channels)
        return out.view(batch, channels, *out.shape[2:])

    return convolve(u), convolve(v)


def pad(x: Tensor, margin: int, edges: Edges) -> Tensor:
    top, bottom, left, right = (margin * edge for edge in edges)
    return F.pad(x, (left, right, top, bottom))


OPERATORS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "downsample": (resample.downsample, unfolded_downsample),
    "upsample": (resample.upsample, unfolded_upsample),
    "correlate shared": (resample.correlate_pair, convolved),
    "correlate unshared": (resample.correlate_pair, convolved),
}


def inputs(name: str, *, height: int = 5, width: int = 9, channels: int = 64, edges: Edges = WHOLE) -> Tensors:
    """A map under a half-size grid of height × width positions, and what its kernels are made of, in float64."""
    generator = torch.Generator().manual_seed(0)
    halo_rows, halo_columns = 2 - edges.top - edges.bottom, 2 - edges.left - edges.right
    scale = 1 if name == "upsample" else 2
    rows, columns = scale * height + scale * halo_rows, scale * width + scale * halo_columns
    factors = channels if name.endswith("unshared") else 1
    others = [(2, factors, 6, 6)] * 2 if "correlate" in name else [(2, 1, height, width), (2, 36)]
    shapes = [(2, channels, rows, columns), *others]
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]


def as_list(out: object) -> Tensors:
    return [out] if isinstance(out, Tensor) else list(out)  # type: ignore[call-overload]


def results(function: Callable[..., object], values: Tensors, edges: Edges, weights: Tensors) -> Tensors:
    """What a function gives, then the gradients of the sum of all that, weighted."""
    values = [value.detach().requires_grad_() for value in values]
    outs = as_list(function(*values, edges))
    gradients = torch.autograd.grad(outs, values, [w.to(out.dtype) for w, out in zip(weights, outs, strict=True)])
    return [out.detach() for out in outs] + list(gradients)


def errors(name: str, values: Tensors, edges: Edges = WHOLE) -> list[float]:
    """The largest error of each result and gradient, as a part of its largest value."""
    function, formula = OPERATORS[name]
    exact = [value.double() for value in values]
    torch.manual_seed(1)
    with torch.no_grad():
        weights = [torch.randn_like(out).to(values[0].dtype) for out in as_list(formula(*exact, edges))]
    expected = results(formula, exact, edges, [w.double() for w in weights])
    got = results(function, values, edges, weights)
    assert [value.shape for value in got] == [value.shape for value in expected]
    return [
        float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-9)) for a, b in zip(got, expected, strict=True)
    ]


def on_device(values: Tensors, dtype: torch.dtype, layout: torch.memory_format = torch.channels_last) -> Tensors:
    """The map in its type and layout; the numbers that kernels are made of as the predictor gives them, in float32."""
    x, *others = values
    return [
        x.to(DEVICE, dtype).contiguous(memory_format=layout),
        *(other.to(DEVICE, torch.float32) for other in others),
    ]


def on_card(dtype: torch.dtype, index: int = 0) -> Any:
    """What the choice looks at, of a map on a card that need not be here."""
    return SimpleNamespace(is_cuda=True, dtype=dtype, device=torch.device("cuda", index))


@needs_triton
@runs_kernels
@pytest.mark.parametrize("layout", LAYOUTS, ids=["channels-last", "contiguous"])
@pytest.mark.parametrize("name", OPERATORS)
def test_results_and_gradients_are_those_of_the_formula(name: str, layout: torch.memory_format) -> None:
    values = on_device(inputs(name, height=3, width=9, channels=16), torch.float32, layout)
    assert max(errors(name, values)) < BOUNDS[torch.float32]


@needs_triton
@runs_kernels
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_sixteen_bits_only_round_the_result(name: str, dtype: torch.dtype) -> None:
    values = on_device(inputs(name, height=2, width=2, channels=32), dtype)
    assert max(errors(name, values)) < BOUNDS[dtype]


@needs_triton
@runs_kernels
@pytest.mark.parametrize("name", OPERATORS)
def test_channels_beyond_one_block_count_as_well(name: str) -> None:
    values = on_device(inputs(name, height=1, width=2, channels=80), torch.float32)
    assert max(errors(name, values)) < BOUNDS[torch.float32]


@needs_triton
@runs_kernels
@pytest.mark.parametrize("name", ["downsample", "upsample", "correlate shared"])
@pytest.mark.parametrize("edges", [Edges(top=False, right=False), Edges(bottom=False, left=False)], ids=str)
def test_a_window_has_a_halo_at_inner_sides(name: str, edges: Edges) -> None:
    x, *others = on_device(inputs(name, height=2, width=3, channels=16, edges=edges), torch.float32)
    x = F.pad(x, (2, 1, 1, 2))[:, :, 1:-2, 2:-1]  # a part of a larger map
    assert max(errors(name, [x, *others], edges)) < BOUNDS[torch.float32]
    out = as_list(OPERATORS[name][0](x, *others, edges))[0]
    assert out.is_contiguous(memory_format=torch.channels_last)


@needs_triton
@runs_kernels
@pytest.mark.parametrize("name", ["downsample", "upsample", "correlate shared"])
def test_operators_are_registered_soundly(name: str) -> None:
    operator = getattr(torch.ops.mattecli, OPERATORS[name][0].__name__)
    values = [v.requires_grad_() for v in on_device(inputs(name, height=2, width=2, channels=16), torch.float32)]
    torch.library.opcheck(operator, (*values, list(WHOLE)), atol=1e-5, rtol=1e-5)


@needs_triton
@runs_kernels
@pytest.mark.filterwarnings("ignore")  # the compiler's advice
@pytest.mark.parametrize("name", ["downsample", "upsample", "correlate shared"])
def test_compiled_functions_give_the_same(name: str) -> None:
    values = on_device(inputs(name, height=2, width=3, channels=16), torch.float32)
    function = OPERATORS[name][0]
    compiled = torch.compile(function, fullgraph=True, backend="inductor" if CUDA else "aot_eager")
    with torch.no_grad():
        weights = [torch.ones_like(out) for out in as_list(function(*values, WHOLE))]
    pairs = zip(results(compiled, values, WHOLE, weights), results(function, values, WHOLE, weights), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@needs_triton
@runs_kernels
def test_all_operators_use_them_where_they_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    x, s, p = on_device(inputs("downsample", height=2, width=2, channels=32), torch.float32)
    u = torch.ones(2, 1, 6, 6, device=DEVICE)

    def all_maps() -> Tensors:
        small = x[:, :, :2, :2]
        return [resample.downsample(x, s, p), resample.upsample(small, s, p), *resample.correlate_pair(x, u, u)]

    with monkeypatch.context() as without:
        without.setattr(fused, "usable", lambda _x, **_: False)
        plain = all_maps()
    used: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        function = getattr(fused, name)
        return lambda *given: (used.append(name), function(*given))[1]

    for name in ("downsample", "upsample", "correlate"):
        monkeypatch.setattr(fused, name, noted(name))
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(all_maps(), plain, strict=True))
    assert used == ["downsample", "upsample", "correlate"]


@needs_triton
@runs_kernels
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_trial_run_accepts_the_kernels(dtype: torch.dtype) -> None:
    fused.try_out(dtype, torch.device(DEVICE), grad=dtype == torch.float32)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("downsample", 0.9),
        ("upsample", 1.1),
        ("correlate", float("nan")),
        ("resampling_gradients", float("inf")),
        ("correlate_gradients", float("nan")),
    ],
)
def test_the_trial_run_refuses_wrong_sums_and_gradients(
    name: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All functions give ones, which is right, but one of them gives another value."""
    called: list[str] = []

    def give(function: str) -> Callable[..., object]:
        size = 8 if function == "upsample" else 4
        found = torch.full((1, 1, size, size), value if function == name else 1.0)

        def stand_in(*_: object) -> object:
            called.append(function)
            return found if function in ("downsample", "upsample") else (found, found)

        return stand_in

    names = ["downsample", "upsample", "correlate", "resampling_gradients", "correlate_gradients"]
    for function in names:
        monkeypatch.setattr(fused, function, give(function))
    with pytest.raises(ArithmeticError, match="wrong sums"):
        fused.try_out(torch.float32, torch.device("cpu"), grad=True)
    assert set(called) == set(names)


@needs_triton
@pytest.mark.parametrize(("arch", "dtype"), [(80, "fp32"), (90, "bf16")])
def test_the_kernels_compile_for_cards_that_need_not_be_here(arch: int, dtype: str, tmp_path: Path) -> None:
    table = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "registers.py", "--arch", str(arch), "--dtype", dtype],
        # This process interprets, and an earlier run's results would be taken in place of compiling.
        env={name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert {name.removesuffix(" (unshared)") for name, *_ in rows} == set(fused.BLOCKS)
    assert max(int(spilled) for _, _, _, _, spilled, *_ in rows) <= 128  # bytes a thread: a few values


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Kernels that are on and fail when they are tried; gives the `grad` of each trial."""
    tried: list[bool] = []

    def fail(*_args: object, grad: bool) -> None:
        tried.append(grad)
        raise RuntimeError("line one\nno C compiler")

    monkeypatch.setattr(fused, "enabled", True)
    monkeypatch.setattr(fused, "trials", {})
    monkeypatch.setattr(fused, "try_out", fail)
    monkeypatch.setattr(fused, "_has_headers", lambda: True)
    return tried


def test_a_compiler_that_fails_is_not_mentioned_and_not_asked_again(
    fails: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "asked", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not fused.usable(on_card(torch.float32))
        assert not fused.usable(on_card(torch.float32), grad=True)
        assert not fused.usable(on_card(torch.bfloat16))
    assert fails == [False]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no more"), RuntimeError("Triton Error [CUDA]: out of memory")]
)
def test_a_card_that_is_full_during_the_trial_does_not_turn_the_kernels_off(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[RuntimeError | None] = [error, None]

    def try_out(*_args: object, grad: bool) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(fused, "enabled", True)
    monkeypatch.setattr(fused, "trials", {})
    monkeypatch.setattr(fused, "try_out", try_out)
    monkeypatch.setattr(fused, "_has_headers", lambda: True)
    with pytest.raises(RuntimeError, match=r"no more|out of memory"):
        fused.usable(on_card(torch.float32))
    for _ in range(2):
        assert fused.usable(on_card(torch.float32))
    assert not outcomes


@pytest.mark.parametrize(("asked", "tried"), [(False, []), (True, [False])])
def test_without_pythons_headers_the_compiler_is_not_started_unless_asked_for(
    asked: bool, tried: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: list[bool] = []
    monkeypatch.setattr(fused, "enabled", True)
    monkeypatch.setattr(fused, "asked", asked)
    monkeypatch.setattr(fused, "trials", {})
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    monkeypatch.setattr(fused, "try_out", lambda *_, grad: found.append(grad))
    assert fused.usable(on_card(torch.float32)) is asked
    assert found == tried
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(fused, "enabled", True)
    monkeypatch.setattr(fused, "trials", {})
    assert fused.usable(on_card(torch.float32))


def test_a_compiler_that_fails_is_warned_about_once_if_the_kernels_were_asked_for(
    fails: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "asked", True)
    with pytest.warns(UserWarning, match=r"MATTECLI_FUSED=1 is set, but .* \(no C compiler\); PyTorch's own") as caught:
        usable = [fused.usable(on_card(torch.float32), grad=grad) for grad in (False, True)]
    assert len(caught) == 1
    assert usable == [False, False]
    assert fails == [False]


def test_each_card_is_tried_and_turned_off_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def try_out(_dtype: torch.dtype, device: torch.device, *, grad: bool) -> None:
        tried.append(device.index)
        if device.index == 1:
            raise RuntimeError("no kernel image for this card")

    monkeypatch.setattr(fused, "enabled", True)
    monkeypatch.setattr(fused, "asked", False)
    monkeypatch.setattr(fused, "trials", {})
    monkeypatch.setattr(fused, "try_out", try_out)
    monkeypatch.setattr(fused, "_has_headers", lambda: True)
    for _ in range(2):
        assert [fused.usable(on_card(torch.float32, index)) for index in (0, 1, 2)] == [True, False, True]
    assert not fused.usable(on_card(torch.bfloat16, 1))
    assert tried == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "on", "asked"), [(None, True, False), ("", True, False), ("0", False, False), ("1", True, True)]
)
def test_the_kernels_are_on_unless_the_environment_variable_is_0(
    value: str | None, on: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("MATTECLI_FUSED", raising=False)
    else:
        monkeypatch.setenv("MATTECLI_FUSED", value)
    module = runpy.run_path(str(fused.__file__))  # the module is run once more, as in a new process
    assert (module["enabled"], module["asked"]) == (on, asked)


def test_with_the_choice_off_the_kernels_are_not_even_tried_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[torch.dtype, bool]] = []
    monkeypatch.setattr(fused, "_has_headers", lambda: True)
    monkeypatch.setattr(fused, "trials", {})
    monkeypatch.setattr(fused, "try_out", lambda dtype, _device, *, grad: tried.append((dtype, grad)))
    monkeypatch.setattr(fused, "enabled", False)
    assert not fused.usable(on_card(torch.bfloat16))
    assert not tried
    monkeypatch.setattr(fused, "enabled", True)
    for _ in range(2):
        assert fused.usable(on_card(torch.bfloat16))
        assert fused.usable(on_card(torch.bfloat16), grad=True)
    assert tried == [(torch.bfloat16, False), (torch.bfloat16, True)]


def test_the_choice_on_a_cpu_is_always_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "enabled", True)
    assert not fused.usable(torch.zeros(1, 64, 4, 4))


@needs_triton
@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.001, False)])
def test_the_benchmark_checks_the_kernels_and_not_another_form(
    factor: float, right: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where they are turned off; float32 gradients of a map in bfloat16 are as exact as float32."""
    gradients = fused.resampling_gradients

    def scaled(*given: Any) -> tuple[Tensor, ...]:
        grad_x, grad_s, grad_p = gradients(*given)
        return grad_x, grad_s * factor, grad_p

    monkeypatch.setattr(fused, "enabled", False)
    monkeypatch.setattr(fused, "resampling_gradients", scaled)
    monkeypatch.setattr(benchmark, "DTYPES", {"bf16": torch.bfloat16})
    monkeypatch.setattr(benchmark, "OPERATORS", ("upsample",))
    monkeypatch.setattr(benchmark, "check_beyond_32_bits", lambda: True)  # takes 20 GiB of a card
    assert benchmark.check(DEVICE) is right
    assert ("WRONG" in capsys.readouterr().out) is not right
    assert not fused.enabled


def test_the_benchmark_calls_kernels_that_do_not_work_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fused, "usable", lambda *_, **__: False)
    monkeypatch.setattr(benchmark, "check_window", lambda _device: True)
    assert not benchmark.check_all("cpu")
    assert "the kernels do not work here" in capsys.readouterr().out


@needs_card
@runs_kernels
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("channels", [64, 256])
def test_large_maps_on_the_card(name: str, dtype: torch.dtype, channels: int) -> None:
    values = on_device(inputs(name, height=45, width=67, channels=channels), dtype)
    # The gradient of a shared kernel sums 800,000 products: with more terms comes more rounding.
    assert max(errors(name, values)) < 4 * BOUNDS[dtype]


@needs_card
@runs_kernels
@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_repeat_bit_for_bit_on_the_card(name: str) -> None:
    values = on_device(inputs(name, height=45, width=67), torch.bfloat16)
    with torch.no_grad():
        weights = [torch.ones_like(out) for out in as_list(OPERATORS[name][0](*values, WHOLE))]
    first, second = (results(OPERATORS[name][0], values, WHOLE, weights) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@needs_card
@runs_kernels
@pytest.mark.parametrize("shared", [True, False])
def test_fused_and_plain_predictors_agree_on_the_card(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    predictor = KernelPredictor(64, shared=shared).cuda()
    x = torch.randn(2, 64, 46, 70, device="cuda").contiguous(memory_format=torch.channels_last)

    def run() -> Tensors:
        affinity = predictor(x)
        out = resample.upsample(resample.downsample(x, affinity.s, affinity.p_down), affinity.s, affinity.p_up)
        return [out, *torch.autograd.grad(out.square().sum(), list(predictor.parameters()))]

    assert fused.usable(x)
    with_kernels = run()
    monkeypatch.setattr(fused, "enabled", False)
    for one, other in zip(with_kernels, run(), strict=True):
        assert float((one - other).abs().max()) <= 1e-3 * float(other.abs().max()) + 1e-6
