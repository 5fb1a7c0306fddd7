from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.backends.torch import TorchBackend
from mattecli.errors import DeviceError, InputError
from mattecli.matting import network_input, predict_alpha, require_memory
from mattecli.network import save_a2u
from mattecli.weights import Checkpoint
from tests.network.reference import Case, cases, seeded_network

PIPELINES = [case for case in cases() if case.kind == "pipeline"]


class Recorder:
    """A backend that gives a constant and remembers what it was asked."""

    name, device, precision = "fake", "cpu", "fp32"
    checkpoint = Checkpoint(Path("fake.safetensors"))

    def __init__(self, value: float = 0.25, free: int = 2**40) -> None:
        self.value, self.free = value, free
        self.inputs: list[NDArray[np.float32]] = []

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        self.inputs.append(x)
        return np.full(x.shape[1:], self.value, np.float32)

    def peak_bytes(self, height: int, width: int) -> int:
        return 1000 * height * width

    def free_bytes(self) -> int:
        return self.free


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], TorchBackend]:
    folder = tmp_path_factory.mktemp("seeded")
    found = {}
    for case in PIPELINES:
        path = folder / f"{case.variant}{case.seed}.safetensors"
        if not path.exists():
            import torch

            save_a2u(seeded_network(case.seed, shared=case.variant == "shared"), path, dtype=torch.float32)
        found[case.variant, case.seed] = TorchBackend(Checkpoint(path), device="cpu")
    return found


@pytest.mark.parametrize("case", PIPELINES, ids=str)
def test_alpha_is_the_authors_alpha(case: Case, backends: dict[tuple[str, int], TorchBackend]) -> None:
    assert case.image is not None
    assert case.trimap is not None
    assert case.alpha is not None
    alpha = predict_alpha(case.image, case.trimap, backends[case.variant, case.seed])
    # The authors truncate where we round, hence up to one grey level.
    assert np.abs(np.rint(255 * alpha) - case.alpha.astype(float)).max() <= 1


@pytest.mark.parametrize("case", PIPELINES, ids=str)
def test_network_input_is_the_authors_input(case: Case) -> None:
    assert case.image is not None
    assert case.trimap is not None
    assert np.abs(network_input(case.image, case.trimap) - case.x[0]).max() < 1e-6


def test_known_pixels_keep_the_trimaps_value_and_unknown_ones_are_clipped() -> None:
    trimap = np.array([[0, 128, 255, 77]] * 3, np.uint8)
    assert predict_alpha(picture(3, 4), trimap, Recorder(0.25))[0].tolist() == [0, 0.25, 1, 0.25]
    assert predict_alpha(picture(3, 4), trimap, Recorder(1.5))[0].tolist() == [0, 1, 1, 1]
    assert predict_alpha(picture(3, 4), trimap, Recorder(-3))[0].tolist() == [0, 0, 1, 0]


def test_a_trimap_without_unknown_pixels_needs_no_run() -> None:
    backend = Recorder()
    trimap = np.array([[0, 255], [255, 0]], np.uint8)
    assert predict_alpha(picture(2, 2), trimap, backend).tolist() == [[0, 1], [1, 0]]
    assert backend.inputs == []


def test_padding_mirrors_up_to_a_multiple_of_16_without_the_edge() -> None:
    x = network_input(picture(18, 20), np.full((18, 20), 128, np.uint8))
    assert x.shape == (4, 32, 32)
    assert np.array_equal(x[:, 18], x[:, 16])  # row 17 is the edge
    assert np.array_equal(x[:, :, 20], x[:, :, 18])


def test_16_bit_and_float_photos_are_read_at_their_own_scale() -> None:
    trimap = np.full((16, 16), 128, np.uint8)
    eight = picture(16, 16)
    x = network_input(eight, trimap)
    assert np.allclose(network_input(eight.astype(np.uint16) * 257, trimap), x, atol=1e-6)
    assert np.allclose(network_input((eight / 255).astype(np.float32), trimap), x, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "trimap", "words"),
    [
        (picture(4, 4), np.zeros((4, 5), np.uint8), "the trimap is 5×4 but the image is 4×4"),
        (picture(4, 4)[..., 0], np.zeros((4, 4), np.uint8), r"give \(H, W, 3\) RGB"),
        (picture(4, 4).astype(np.float64), np.zeros((4, 4), np.uint8), "float64"),
        (picture(4, 4), np.zeros((4, 4), np.float32), r"give \(H, W\) as uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_named(image: NDArray[np.uint8], trimap: NDArray[np.uint8], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict_alpha(image, trimap, Recorder())


def test_a_picture_too_large_for_the_memory_is_refused_before_the_run() -> None:
    backend = Recorder(free=2**20)
    with pytest.raises(
        DeviceError, match=r"photo\.jpg has 100×50 pixels, .* about 7 MiB on cpu, but only 1 MiB are free"
    ):
        require_memory(50, 100, backend, name="photo.jpg")
    with pytest.raises(DeviceError, match="are free"):
        predict_alpha(picture(50, 100), np.full((50, 100), 128, np.uint8), backend)
    assert backend.inputs == []
    with pytest.raises(DeviceError, match="3 MiB are allowed by --max-memory"):
        require_memory(50, 100, Recorder(), max_memory=3 * 2**20)
    assert require_memory(50, 100, Recorder(), max_memory=2**30) == 1000 * 64 * 112
