from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mattecli.geometry import WHOLE, Box, Edges, strips
from mattecli.inference import arena, tiling
from mattecli.inference.maps import ComputedMap, Read
from mattecli.inference.plan import CACHED_VALUES_PER_PIXEL, estimate
from mattecli.inference.torch_backend import TorchBackend
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, save_a2u
from mattecli.network.inputs import Picture
from mattecli.system.memory import show_bytes
from mattecli.weights import Checkpoint, find_checkpoint
from tests.support.reference import Case, cases, seeded_network

WEIGHTS = ["shipped", "seeded-shared", "seeded-unshared"]


@cache
def loaded(weights: str, precision: str, device: str = "cpu") -> tuple[TorchBackend, A2UNet]:
    """A backend, and the plain network in float64 to compare it with."""
    if weights == "shipped":
        net = load_a2u(find_checkpoint().path)
        return TorchBackend(find_checkpoint(), device=device, precision=precision), net.double().eval()
    net = seeded_network(3, shared=weights == "seeded-shared")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.safetensors"
        save_a2u(net, path, dtype=torch.float32)
        return TorchBackend(Checkpoint(path), device=device, precision=precision), net.double()


def whole(net: A2UNet, picture: Picture) -> NDArray[np.float64]:
    """The alpha of the plain network, all at once, in float64."""
    rgb, trimap, scale, shift = picture.get(Box(0, picture.height, 0, picture.width))
    planes = np.concatenate([rgb, trimap[..., None]], axis=2) * scale + shift
    with torch.no_grad():
        return net(torch.from_numpy(planes).permute(2, 0, 1)[None])[0, 0].numpy()  # type: ignore[no-any-return]


def scene(height: int, width: int, unknown: NDArray[np.bool_] | float, seed: int = 0) -> Picture:
    """A photo of noise over large shapes, and a trimap with those unknown pixels, or with that share of them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    shade = 128 + 80 * np.sin(x / 17 + seed) * np.cos(y / 23)
    image = np.clip(shade[..., None] + rng.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)
    if isinstance(unknown, float):
        unknown = rng.random((height, width)) < unknown
    trimap = np.where(unknown, 128, np.where(shade > 128, 255, 0)).astype(np.uint8)
    return Picture(image, trimap)


def error(weights: str, precision: str, picture: Picture, *, tile: int, keep: int = 0) -> float:
    """The largest difference between the tiled and the whole alpha where the trimap is unknown."""
    backend, net = loaded(weights, precision)
    unknown = picture.unknown()
    alpha = tiling.run(backend, picture, unknown, tile=tile, keep=keep)
    return float(np.abs(alpha - whole(net, picture))[unknown].max())


@settings(max_examples=10, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    tile=st.sampled_from([64, 80, 112, 128]),
    share=st.sampled_from([1.0, 0.3, 0.01, 0.0005]),
    keep=st.integers(0, 2),
    weights=st.sampled_from(WEIGHTS),
    seed=st.integers(0, 99),
)
def test_tiled_alpha_equals_whole_image_alpha_in_float64(
    height: int, width: int, tile: int, share: float, keep: int, weights: str, seed: int
) -> None:
    unknown = np.random.default_rng(seed).random((height, width)) < share
    unknown[seed % height, seed % width] = True
    picture = scene(height, width, unknown, seed)
    assert error(weights, "fp64", picture, tile=tile, keep=keep) <= 1e-9


@pytest.mark.parametrize("weights", WEIGHTS)
def test_tiled_alpha_equals_whole_image_alpha_in_float32(weights: str) -> None:
    backend, net = loaded(weights, "fp32")
    picture = scene(170, 330, 0.4)
    expected = whole(net, picture)
    for tile, keep in ((64, 0), (128, 1), (1024, 0)):
        alpha = tiling.run(backend, picture, picture.unknown(), tile=tile, keep=keep)
        assert np.abs(alpha - expected)[picture.unknown()].max() <= 1e-4


@pytest.mark.parametrize("place", [(0, 70), (149, 70), (75, 0), (75, 182), (0, 0), (149, 182), (63, 64), (71, 90)])
def test_one_unknown_pixel_anywhere_is_right(place: tuple[int, int]) -> None:
    unknown = np.zeros((150, 183), bool)
    unknown[place] = True
    assert error("seeded-shared", "fp32", scene(150, 183, unknown), tile=64) <= 1e-4


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_unknown_pixels_along_a_border_are_right(side: str) -> None:
    unknown = np.zeros((140, 170), bool)
    unknown[{"top": np.s_[:2], "bottom": np.s_[-2:], "left": np.s_[:, :2], "right": np.s_[:, -2:]}[side]] = True
    assert error("shipped", "fp32", scene(140, 170, unknown), tile=64) <= 1e-4


@dataclass(frozen=True)
class Planes:
    """Inputs that are normalised already, as a source of tiles."""

    x: NDArray[np.float64]  # (4, H, W)

    @property
    def height(self) -> int:
        return self.x.shape[1]

    @property
    def width(self) -> int:
        return self.x.shape[2]

    def get(self, box: Box) -> tuple[NDArray[Any], ...]:
        window = self.x[:, box.slices[0], box.slices[1]]
        return window[:3].transpose(1, 2, 0), window[3], np.ones(4), np.zeros(4)


@pytest.mark.parametrize("case", [case for case in cases() if case.kind == "raw"], ids=str)
def test_tiled_alpha_is_the_authors_alpha(case: Case, tmp_path: Path) -> None:
    save_a2u(case.network(), tmp_path / "a2u.safetensors", dtype=torch.float32)
    for precision, bound in (("fp64", 5e-6), ("fp32", 2e-5)):
        backend = TorchBackend(Checkpoint(tmp_path / "a2u.safetensors"), device="cpu", precision=precision)
        for x, expected in zip(case.x, case.expected, strict=True):
            alpha = tiling.run(backend, Planes(x), np.ones(x.shape[1:], bool), tile=64)
            assert np.abs(alpha - expected[0]).max() / case.expected.std() <= bound


READS = {  # each stage and how many maps it reads with a halo
    "layer0": 1,
    "moments": 1,
    "affinity0": 1,
    "down": 1,
    "layer1": 1,
    "head2": 1,
    "tail2": 1,
    "layer2": 1,
    "layer3": 1,
    "aspp": 1,
    "decode4": 3,
    "decode3": 3,
    "decode2": 3,
    "decode1": 3,
}


@pytest.mark.parametrize(("stage", "read"), [(stage, read) for stage, reads in READS.items() for read in range(reads)])
def test_a_halo_that_is_smaller_by_one_fails(stage: str, read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, _ = loaded("shipped", "fp32")
    # long enough for inner sides in the deep layers, where halos are wide: ASPP's is 288 pixels of the picture
    picture = scene(2000, 16, 1.0) if stage == "aspp" else scene(480, 48, 1.0)
    plain = tiling.run(backend, picture, picture.unknown(), tile=64)
    make = tiling._Run._computed
    smaller = 0

    def clipped(run: Any, name: str, level: int, reads: list[Read], *extra: Any) -> ComputedMap:
        nonlocal smaller
        if name == stage:
            reads, smaller = [*reads], smaller + 1
            reads[read] = Read(reads[read].source, reads[read].reach - 1)
        return make(run, name, level, reads, *extra)

    monkeypatch.setattr(tiling._Run, "_computed", clipped)
    try:
        alpha = tiling.run(backend, picture, picture.unknown(), tile=64)
    except RuntimeError:
        alpha = None  # the windows of its arrays do not even fit together
    assert smaller
    assert alpha is None or np.abs(alpha - plain).max() > 1e-5  # rounding makes some 1e-6


def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[TorchBackend, list[tuple[str, tuple[int, ...]]]]:
    """A backend, and a list that grows by the name and the output's shape of each stage it runs."""
    backend, _ = loaded("shipped", "fp32")
    seen: list[tuple[str, tuple[int, ...]]] = []
    run: Callable[..., Any] = TorchBackend.run

    def record(self: TorchBackend, part: str, *arrays: Any, edges: Edges = WHOLE) -> Any:
        out = run(self, part, *arrays, edges=edges)
        seen.append((part, () if isinstance(out, tuple) else tuple(out.shape)))
        return out

    monkeypatch.setattr(TorchBackend, "run", record)
    return backend, seen


def decoded(monkeypatch: pytest.MonkeyPatch, unknown: NDArray[np.bool_]) -> int:
    backend, seen = watched(monkeypatch)
    picture = scene(*unknown.shape, unknown)
    tiling.run(backend, picture, picture.unknown(), tile=128)
    return sum(shape[2] * shape[3] for stage, shape in seen if stage == "decode1")


def test_the_decoder_runs_only_near_unknown_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = np.zeros((256, 384), bool)
    assert decoded(monkeypatch, unknown) == 0
    unknown[100:120, 30:330] = True
    pixels = decoded(monkeypatch, unknown)
    assert unknown.sum() <= pixels <= 2 * unknown.sum()
    unknown[:] = True
    assert decoded(monkeypatch, unknown) == unknown.size


def test_what_is_kept_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, seen = watched(monkeypatch)
    picture = scene(256, 384, 0.2)

    def runs_of_layer0(keep: int) -> int:
        seen.clear()
        tiling.run(backend, picture, picture.unknown(), tile=64, keep=keep)
        return sum(stage == "layer0" for stage, _ in seen)

    nothing, halved, all_of_it = (runs_of_layer0(keep) for keep in (0, 1, 2))
    assert halved * 5 < nothing * 4
    assert all_of_it == len(list(strips(256, 384, 64, 16)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps blocks for later maps")
def test_memory_that_held_another_photo_leaves_nothing_behind() -> None:
    backend, _ = loaded("shipped", "fp32")
    picture = scene(200, 310, 0.01)
    arena.shared.give_back()
    expected = tiling.run(backend, picture, picture.unknown(), tile=128)
    other = arena.shared.take(2**25)
    other[:] = 255  # four of which are a NaN
    del other
    assert arena.shared.spare_bytes() >= 2**25
    assert np.array_equal(tiling.run(backend, picture, picture.unknown(), tile=128), expected)


def test_progress_counts_the_tiles_of_each_pass_in_order() -> None:
    backend, _ = loaded("shipped", "fp32")
    picture = scene(200, 160, 0.5)
    told: list[tuple[str, int, int]] = []
    tiling.run(backend, picture, picture.unknown(), tile=64, progress=lambda *what: told.append(what))
    assert tuple(dict.fromkeys(name for name, _, _ in told)) == tiling.PASSES
    for name in tiling.PASSES:
        counts = [(done, total) for told_name, done, total in told if told_name == name]
        total = counts[-1][1]
        assert counts == [(done, total) for done in range(total + 1)]
    assert {name: total for name, _, total in told}["pool 0"] > 4


def test_a_run_with_the_statistics_of_its_own_is_the_same_run() -> None:
    backend, _ = loaded("seeded-shared", "fp32")
    picture = scene(160, 128, 0.3)
    statistics = tiling.Statistics()
    alpha = tiling.run(backend, picture, picture.unknown(), tile=64, statistics=statistics)
    assert {label.split()[0] for label in statistics} == {"pool", "moments"}
    passes: list[str] = []
    again = tiling.run(
        backend,
        picture,
        picture.unknown(),
        tile=64,
        statistics=statistics,
        progress=lambda label, *_: passes.append(label),
    )
    assert np.array_equal(again, alpha)
    assert "moments 0" not in passes


def test_a_window_with_the_statistics_of_the_whole_is_closer_to_it_than_a_crop() -> None:
    backend, _ = loaded("shipped", "fp32")
    whole_picture = scene(256, 384, 0.3)
    photo, codes, *_ = whole_picture.get(Box(0, 256, 0, 384))
    statistics = tiling.Statistics()
    exact = tiling.run(backend, whole_picture, whole_picture.unknown(), tile=128, statistics=statistics)
    window = Box(64, 256, 64, 256)
    crop = Picture(photo[window.slices], codes[window.slices])
    inner = Box(64, 128, 64, 128)
    known = crop.unknown()[inner.slices]
    errors = []
    for given_statistics in (None, statistics):
        alpha = tiling.run(backend, crop, crop.unknown(), tile=128, statistics=given_statistics)
        errors.append(np.abs(alpha - exact[window.slices])[inner.slices][known].mean())
    assert errors[1] < errors[0] / 3


def test_bf16_stays_close() -> None:
    backend, net = loaded("shipped", "bf16")
    picture = scene(160, 200, 0.5)
    alpha = tiling.run(backend, picture, picture.unknown(), tile=64)
    difference = np.abs(alpha - whole(net, picture))[picture.unknown()]
    assert 0 < difference.mean() < 0.01
    assert difference.max() < 0.2


def test_the_estimate_follows_tile_and_maps() -> None:
    backend, _ = loaded("shipped", "fp32")
    plans = [estimate(backend, 4000, 6000, tile=tile).bytes for tile in (64, 256, 1024)]
    assert plans == sorted(plans)
    kept = estimate(backend, 4000, 6000, tile=64, keep=2).bytes - plans[0]
    assert kept == 4000 * 6000 * 4 * CACHED_VALUES_PER_PIXEL[2]
    on_host = estimate(backend, 4000, 6000, tile=64, host=True)
    assert on_host.bytes < plans[0] / 2
    assert str(on_host) == f"tiles of 64, about {show_bytes(on_host.bytes)}, maps in the host's memory"
    assert (on_host.label, estimate(backend, 60, 64, tile=64).label) == (64, "off")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("host", [False, True])
def test_tiled_alpha_on_cuda_equals_the_whole_image_alpha(weights: str, host: bool) -> None:
    backend, net = loaded(weights, "fp32", "cuda")
    picture = scene(530, 470, 0.4)
    for tile in (64, 256, 1024):
        alpha = tiling.run(backend, picture, picture.unknown(), tile=tile, keep=2 * (not host), host=host)
        assert np.abs(alpha - whole(net, picture))[picture.unknown()].max() <= 1e-4
