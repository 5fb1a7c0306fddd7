import shutil
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.ops import downsample, loops
from mattecli.training.config import CropStage, LossConfig, PrecisionConfig, TrainConfig
from mattecli.training.distributed import Processes
from mattecli.training.losses import Gradients, laplacian_pyramid, matting_losses


def only(**weights: Any) -> LossConfig:
    return LossConfig(**dict.fromkeys(("alpha", "composition", "laplacian", "gradient"), 0.0) | weights)


def losses(
    config: LossConfig, prediction: Tensor, alpha: Tensor, trimap: Tensor, contrast: float = 1.0
) -> dict[str, Tensor]:
    """With a foreground of `contrast` over a black background."""
    foreground = torch.full((alpha.shape[0], 3, *alpha.shape[2:]), contrast)
    return matting_losses(
        config,
        prediction,
        alpha=alpha,
        trimap=trimap,
        foreground=foreground,
        background=torch.zeros_like(foreground),
    )


def row(*values: float) -> Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


def test_alpha_is_the_mean_over_unknown_pixels_only() -> None:
    found = losses(only(alpha=2.0), row(0.5, 0.5, 0.9, 9.0), row(0.0, 1.0, 1.0, 0.0), row(128, 128, 255, 0))
    assert found["alpha"].item() == pytest.approx(0.5)
    assert found["loss"].item() == pytest.approx(1.0)


def test_known_pixels_count_by_their_weight() -> None:
    # (0.5 + 0.5 + 0.25 · 0.2 + 0.25 · 1) / 2.5
    found = losses(only(alpha=1, known=0.25), row(0.5, 0.5, 0.8, 1.0), row(0, 1, 1, 0), row(128, 128, 255, 0))
    assert found["alpha"].item() == pytest.approx(1.3 / 2.5)


def test_each_picture_counts_the_same() -> None:
    alpha = torch.zeros(2, 1, 1, 2)
    trimap = torch.tensor([[128, 128], [128, 0]]).reshape(2, 1, 1, 2)
    prediction = torch.tensor([[0.1, 0.3], [0.8, 0.0]]).reshape(2, 1, 1, 2)
    assert losses(only(alpha=1), prediction, alpha, trimap)["alpha"].item() == pytest.approx((0.2 + 0.8) / 2)


def test_soft_pixels_count_by_their_weight() -> None:
    # an alpha of 0.01 is as good as 0, and a known pixel is not soft whatever it holds
    prediction, alpha = row(0.7, 0.11, 0.8, 0.4), row(0.5, 0.01, 1.0, 0.5)
    found = losses(only(alpha=1, soft=3), prediction, alpha, row(128, 128, 128, 255))
    assert found["alpha"].item() == pytest.approx((3 * 0.2 + 0.1 + 0.2) / 5)


def test_each_pixel_of_the_batch_counts_the_same_when_asked_to() -> None:
    alpha = torch.zeros(2, 1, 8, 8)
    trimap = torch.zeros(2, 1, 8, 8)
    trimap[0, 0, :, :3], trimap[1, 0, 0, :2] = 128, 128  # 24 and 2 pixels
    prediction = torch.where(trimap > 0, torch.tensor([0.1, 0.8]).reshape(2, 1, 1, 1), 9.0)
    config = only(alpha=1, gradient=1, laplacian=1, composition=1)
    found = losses(config.replace(mean="pixels"), prediction, alpha, trimap)
    assert found["alpha"].item() == pytest.approx((24 * 0.1 + 2 * 0.8) / 26)
    alone = [losses(config, *(x[k : k + 1] for x in (prediction, alpha, trimap))) for k in range(2)]
    for name in ("alpha", "composition", "laplacian", "gradient"):
        by_pixels = (24 * alone[0][name] + 2 * alone[1][name]) / 26
        assert found[name].item() == pytest.approx(by_pixels.item(), rel=1e-5)


def test_a_few_pixels_do_not_make_the_whole_step() -> None:
    trimap = torch.zeros(1, 1, 20, 20)
    trimap[0, 0, 0, 0] = 128
    found = losses(only(alpha=1, mean="pixels"), torch.ones(1, 1, 20, 20), torch.zeros(1, 1, 20, 20), trimap)
    assert found["alpha"].item() == pytest.approx(1 / (0.01 * 400))


def test_overshoot_costs_what_it_is_told_to() -> None:
    prediction, alpha = row(1.5, -0.5, 0.7, 1.5), row(1.0, 0.0, 0.5, 0.5)
    found = losses(only(alpha=1, overshoot=0.1), prediction, alpha, torch.full_like(alpha, 128))
    assert found["alpha"].item() == pytest.approx((0.05 + 0.05 + 0.2 + 0.55) / 4)


def test_charbonnier_rounds_the_corner() -> None:
    found = losses(only(alpha=1, charbonnier=0.3), row(0.4), row(0.0), row(128))
    assert found["alpha"].item() == pytest.approx(0.5)


def test_composition_is_the_difference_of_composites_summed_over_colours() -> None:
    # |0.25 · 0.4| in each of three colours
    found = losses(only(composition=1), row(0.75), row(0.5), row(128), contrast=0.4)
    assert found["composition"].item() == pytest.approx(0.3)


def test_composition_compares_the_composites_of_the_two_alphas() -> None:
    generator = torch.Generator().manual_seed(1)
    prediction, alpha = torch.rand(2, 1, 1, 8, 8, generator=generator)
    foreground, background = torch.rand(2, 1, 3, 8, 8, generator=generator)
    found = matting_losses(
        only(composition=1),
        prediction,
        alpha=alpha,
        trimap=torch.full((1, 1, 8, 8), 128),
        foreground=foreground,
        background=background,
    )
    composites = [a * foreground + (1 - a) * background for a in (prediction, alpha)]
    by_formula = (composites[0] - composites[1]).abs().sum(1).mean()
    assert found["composition"].item() == pytest.approx(by_formula.item(), rel=1e-5)


def test_gradient_is_by_central_differences() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4) / 10  # ∂x = 0.1 in two of four columns, ∂y = 0
    found = losses(only(gradient=1), ramp, torch.zeros_like(ramp), torch.full_like(ramp, 128))
    assert found["gradient"].item() == pytest.approx(0.1 * 8 / 16)


def test_laplacian_pyramid_is_opencvs() -> None:
    image = np.random.default_rng(0).random((48, 64), np.float32)
    pyramid = laplacian_pyramid(torch.from_numpy(image)[None, None], levels=3)
    for band in pyramid:
        small = cv2.pyrDown(image)
        expected = image - cv2.pyrUp(small, dstsize=(image.shape[1], image.shape[0]))
        np.testing.assert_allclose(band[0, 0].numpy(), expected, atol=1e-5)
        image = small


def test_laplacian_weighs_coarse_levels_more() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, alpha = torch.rand(2, 1, 1, 64, 64, generator=generator)
    trimap = torch.full((1, 1, 64, 64), 128)
    found = losses(only(laplacian=1), prediction, alpha, trimap)["laplacian"].item()
    first, second = (laplacian_pyramid(x) for x in (prediction, alpha))
    by_formula = sum(2**i * (p - a).abs().sum() / 64**2 for i, (p, a) in enumerate(zip(first, second, strict=True)))
    assert len(first) == 5
    assert found == pytest.approx(float(by_formula), rel=1e-5)


def test_a_picture_without_unknown_pixels_adds_nothing() -> None:
    config = LossConfig(alpha=1, composition=1, laplacian=1, gradient=1)
    prediction = torch.rand(1, 1, 32, 32)
    found = losses(config, prediction, torch.zeros_like(prediction), torch.full_like(prediction, 255))
    assert found["loss"].item() == 0.0


def test_losses_of_a_bfloat16_prediction_are_float32() -> None:
    prediction = torch.full((1, 1, 32, 32), 0.5, dtype=torch.bfloat16)
    found = losses(LossConfig(), prediction, torch.full((1, 1, 32, 32), 0.501), torch.full((1, 1, 32, 32), 128))
    assert {term.dtype for term in found.values()} == {torch.float32}
    assert found["alpha"].item() == pytest.approx(0.001, rel=1e-3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler, which torch.compile needs")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # PyTorch's own use
def test_a_compiled_network_gets_the_gradients_of_a_plain_one() -> None:
    noise = torch.Generator().manual_seed(0)
    batch = {
        name: torch.randint(0, 256, (2, channels, 8, 8), generator=noise, dtype=torch.uint8)
        for name, channels in {"image": 3, "alpha": 1, "foreground": 3, "background": 3}.items()
    }
    batch["trimap"] = torch.full((2, 1, 8, 8), 128, dtype=torch.uint8)
    found = []
    for compiled in (False, True):
        torch.manual_seed(1)
        network = nn.Conv2d(4, 1, 3, padding=1)
        config = TrainConfig(precision=PrecisionConfig(dtype="fp32", compile=compiled))
        losses = Gradients(network, config, torch.device("cpu"), Processes()).add(batch, at_once=1)
        found.append((losses["loss"], network.weight.grad))
    torch.testing.assert_close(found[1], found[0])


class _Halves(nn.Module):
    """A convolution whose result is halved by kernels that it learns, and brought back to its size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 16, 3, padding=1)
        self.p = nn.Parameter(torch.linspace(-1, 1, 36)[None])

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        halved = downsample(x, x[:, :1, ::2, ::2], self.p.expand(len(x), 36))
        return F.interpolate(halved, scale_factor=2).mean(1, keepdim=True)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler, which torch.compile needs")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # PyTorch's own use
def test_a_compiled_network_takes_the_gradients_of_large_maps_from_compiled_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[bool] = []  # each run of the loops, and whether it was compiled
    written = loops._downsample_gradients

    def note(*tensors: Tensor) -> loops.Gradients:
        ran.append(torch.compiler.is_compiling())
        return written(*tensors)

    monkeypatch.setattr(loops, "LEAST_VALUES", 64)
    monkeypatch.setattr(loops, "_downsample_gradients", note)
    planes = torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    batch = dict.fromkeys(("image", "foreground"), planes) | {"alpha": planes[:, :1], "background": 255 - planes}
    batch["trimap"] = torch.full((2, 1, 8, 8), 128, dtype=torch.uint8)
    found = []
    for compiled in (False, True):
        torch.manual_seed(1)
        network = _Halves()
        config = TrainConfig(precision=PrecisionConfig(dtype="fp32", compile=compiled))
        Gradients(network, config, torch.device("cpu"), Processes()).add(batch, at_once=2)
        found.append((network.conv.weight.grad, network.p.grad))
    assert ran == [True]  # traced once, by the compiler
    for one, other in zip(*found, strict=True):
        assert one is not None
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * float(one.abs().max()))


def test_each_size_and_batch_is_compiled_with_norms_that_learn_and_frozen_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def backend(graph: Any, _: Any) -> Any:
        compiled.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr("torch._dynamo.config.cache_size_limit", 8)  # PyTorch's own, and put back afterwards
    torch._dynamo.reset()
    network = nn.Sequential(nn.Conv2d(4, 1, 3, padding=1), nn.BatchNorm2d(1))
    sizes = tuple(range(16, 16 * 13, 16))
    config = TrainConfig(
        precision=PrecisionConfig(dtype="fp32", compile=True),
        crops=(CropStage(until=0.5, size=sizes[:6], batch=2), CropStage(size=sizes[6:], batch=3)),
    )
    gradients = Gradients(network, config, torch.device("cpu"), Processes())
    for _ in range(2):
        for stage in config.crops:
            for size in stage.size:
                planes = torch.full((stage.batch, 3, size, size), 128, dtype=torch.uint8)
                batch = dict.fromkeys(("image", "foreground", "background"), planes)
                gradients.add(batch | {"trimap": planes[:, :1], "alpha": planes[:, :1]}, at_once=stage.batch)
        network.eval()
    assert len(compiled) == 2 * len(sizes)
