"""The network's input, which NumPy, PyTorch and ONNX each make: scaled, shifted and mirrored."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mattecli.geometry import WHOLE, Box
from mattecli.inference.onnx_backend import OnnxBackend
from mattecli.inference.torch_backend import TorchBackend
from mattecli.network.inputs import Picture, network_input
from mattecli.onnx import whole
from mattecli.onnx.graph import Graph
from mattecli.training.config import TrainConfig
from mattecli.training.distributed import Processes
from mattecli.training.losses import Gradients
from mattecli.weights import find_checkpoint
from tests.support.reference import exact_input

Array = NDArray[Any]


def photo(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(height)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (height, width))
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), trimap


def by_backend(
    kind: type[TorchBackend] | type[OnnxBackend], image: NDArray[np.uint8], trimap: NDArray[np.uint8]
) -> Array:
    """As the run in tiles makes it."""
    backend: Any = kind(find_checkpoint(), device="cpu")
    picture = Picture(image, trimap)
    arrays = [backend.array(array) for array in picture.get(Box(0, picture.height, 0, picture.width))]
    return np.asarray(backend.host(backend.run("normalise", *arrays, edges=WHOLE)))[0]


def by_onnx_graph(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> Array:
    """As a file that was exported with pre-processing makes it."""
    g = Graph()
    out = whole._prepared(g, g.value("image"), g.value("trimap"))
    info = helper.make_tensor_value_info
    inputs = [info(name, TensorProto.UINT8, None) for name in ("image", "trimap")]
    outputs = [info(out.name, TensorProto.FLOAT, None)]
    graph = helper.make_graph(g.nodes, "input", inputs, outputs, list(g.initializers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image[None], "trimap": trimap[None]})[0][0])


def by_training(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> Array:
    """As training makes it, of crops that need no padding."""
    gradients = Gradients(torch.nn.Identity(), TrainConfig(), torch.device("cpu"), Processes())
    batch = {"image": torch.from_numpy(image).permute(2, 0, 1)[None], "trimap": torch.from_numpy(trimap)[None, None]}
    return gradients.input(batch)[0].numpy()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (32, 48), (37, 53)])
def test_numpy_pytorch_and_onnx_make_the_same_input_of_a_picture(height: int, width: int) -> None:
    image, trimap = photo(height, width)
    found = {
        "numpy": network_input(image, trimap),
        "PyTorch in tiles": by_backend(TorchBackend, image, trimap),
        "ONNX Runtime in tiles": by_backend(OnnxBackend, image, trimap),
        "exported file": by_onnx_graph(image, trimap),
    }
    if height % 16 == width % 16 == 0:
        found["training"] = by_training(image, trimap)
    exact = exact_input(image, trimap)
    for name, planes in found.items():
        assert planes.shape == exact.shape, name
        assert np.abs(planes - exact).max() < 1e-6, name


@pytest.mark.parametrize(("kind", "white"), [(np.uint16, 65535), (np.float32, 1)])
def test_deeper_photos_are_scaled_by_their_own_white(kind: type, white: int) -> None:
    image, trimap = photo(16, 32)
    deeper = (image.astype(np.float64) / 255 * white).astype(kind)
    assert np.abs(network_input(deeper, trimap) - exact_input(image, trimap)).max() < 1e-4


def test_trimap_values_between_the_ends_are_all_the_same_unknown() -> None:
    image, trimap = photo(16, 16)
    greys = np.where(trimap == 128, np.random.default_rng(0).integers(1, 255, trimap.shape), trimap).astype(np.uint8)
    assert np.array_equal(network_input(image, greys), network_input(image, trimap))
    assert np.array_equal(Picture(image, greys).unknown(), trimap == 128)
