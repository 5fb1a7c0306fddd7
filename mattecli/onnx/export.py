"""Write the network as one ONNX file, compared with PyTorch."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mattecli._version import __version__
from mattecli.errors import DeviceError, InputError, MatteError, UsageError
from mattecli.network.inputs import network_input
from mattecli.onnx import operators
from mattecli.onnx.graph import Graph, Value
from mattecli.onnx.network import Network, Resample
from mattecli.onnx.read_weights import PRODUCER, read_weights
from mattecli.onnx.stages import IR_VERSION, OPSET
from mattecli.spec import MEAN, SHIFT, STD, STRIDE, padded, scale
from mattecli.system import memory
from mattecli.system.files import check_target, whole_file
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.trimaps.check import unknown as unknown_pixels
from mattecli.weights import Checkpoint

Ops = Literal["standard", "custom"]
DOMAIN = "mattecli"  # of the custom operators
NEWEST_OPSET = 23  # the newest that was tested
# The largest difference allowed from PyTorch in float64: as a share of the largest alpha, and in levels of 8 bits.
BOUND, BOUND_FP16 = 1e-4, 1e-2
LEVELS, LEVELS_FP16 = 1, 3
CHECK_BYTES = 9000  # memory of the check for each pixel; PyTorch in float64 takes most of it
LARGEST = 2**15  # side of a fixed size


@dataclass(frozen=True)
class Options:
    """What kind of file to write.

    `ops` "custom" writes the resampling as nodes A2UDownsample and A2UUpsample of the domain `mattecli`, each with a
    local function as its body. `size` (height, width) fixes the shape, and the batch to 1. `pre_post` adds normalising,
    padding, cropping and the trimap's known pixels to the graph: uint8 photo and trimap in, uint8 alpha out.
    """

    ops: Ops = "standard"
    fp16: bool = False
    opset: int = OPSET
    size: tuple[int, int] | None = None
    pre_post: bool = False


@dataclass(frozen=True)
class Difference:
    """The difference from PyTorch's alpha for one input: absolute, and as a share of the largest alpha."""

    shape: tuple[int, int, int]  # batch, height, width
    absolute: float
    relative: float

    @property
    def size(self) -> str:
        """The shape for a message."""
        batch, height, width = self.shape
        return f"{width}×{height}" + (f" in a batch of {batch}" if batch > 1 else "")


def export_onnx(
    checkpoint: Checkpoint,
    path: str | Path,
    *,
    options: Options | None = None,
    overwrite: bool = False,
    compare: bool = True,
    on_compared: Callable[[Difference], None] = lambda _: None,
) -> None:
    """Write the checkpoint's network; with `compare`, check the file against PyTorch before it gets its name.

    Raises UsageError for wrong options, WeightsError for the checkpoint, InputError for the output, DeviceError when
    PyTorch is needed and not installed, MatteError when the file's alpha differs from PyTorch's. After an error no new
    file is left, and an old one is unchanged.
    """
    options = options or Options()
    _check_options(options)
    path = Path(path)
    if checkpoint.exported:
        raise UsageError(f"{checkpoint.path} is an exported file already; export the checkpoint it was made from")
    check_target(path, overwrite=overwrite, inputs=[checkpoint.path])
    if compare and importlib.util.find_spec("torch") is None:
        raise DeviceError("the check of the file needs PyTorch, which is missing; install it or use `compare=False`")
    model = build(checkpoint, options)
    try:
        with whole_file(path, overwrite=overwrite) as file:
            file.write(model.SerializeToString(deterministic=True))
            if compare:
                file.flush()
                check(Path(file.name), checkpoint, options, name=path.name, on_done=on_compared)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose a writable folder with room") from error


def build(checkpoint: Checkpoint, options: Options) -> onnx.ModelProto:
    """The model with inferred shapes; ONNX's own checker has passed it."""
    weights = read_weights(checkpoint.path)
    graph = Graph(dtype=np.float16 if options.fp16 else np.float32)
    functions: list[onnx.FunctionProto] = []
    if options.ops == "custom":
        functions = [_function(name, body, graph, options.opset) for name, body in _CUSTOM.items()]
        network = Network(graph, weights, downsample=_node("A2UDownsample"), upsample=_node("A2UUpsample"))
    else:
        network = Network(graph, weights)
    inputs, outputs = _whole(graph, network, options)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "A2U", inputs, outputs, list(graph.initializers.values())),
        functions=functions,
        opset_imports=[
            helper.make_opsetid("", options.opset),
            *([helper.make_opsetid(DOMAIN, 1)] if functions else []),
        ],
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for([helper.make_opsetid("", options.opset)])),
        producer_name=PRODUCER,
        producer_version=__version__,
        doc_string="A2U matting (Dai, Lu, Shen: Learning Affinity-Aware Upsampling for Deep Image Matting, CVPR 2021)",
    )
    helper.set_model_props(model, _facts(checkpoint, network, options))
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def check_sizes(options: Options) -> list[tuple[int, int, int]]:
    """The shapes (B, H, W) at which a file is checked: the smallest, odd ones and a batch, or its own fixed shape."""
    if options.size is not None:
        return [(1, *options.size)]
    if options.pre_post:
        return [(1, 1, 1), (2, 37, 53), (1, 129, 200)]
    return [(1, 16, 16), (3, 48, 80), (1, 176, 208), (1, 320, 272)]


def check(
    path: Path,
    checkpoint: Checkpoint,
    options: Options,
    *,
    name: str,
    on_done: Callable[[Difference], None] = lambda _: None,
) -> list[Difference]:
    """Compare the file, called `name` in errors, in ONNX Runtime on the CPU with PyTorch in float64, at several sizes.

    Raises MatteError when a difference exceeds the bound, DeviceError when ONNX Runtime cannot run the file or
    memory is too small.
    """
    needed = CHECK_BYTES * max(height * width for _, height, width in check_sizes(options))
    if needed > memory.free_bytes():
        raise DeviceError(
            f"the check of {name} takes about {memory.show_bytes(needed)} of memory, but only "
            f"{memory.show_bytes(memory.free_bytes())} are free; free some or give `compare=False`"
        )
    run, reference = _runtime(path, name), _reference(checkpoint, options)
    found = []
    for number, shape in enumerate(check_sizes(options)):
        given = _input(shape, options, np.random.default_rng(number))
        ours, theirs = run(given), reference(given)
        absolute = float(np.abs(ours.astype(np.float64) - theirs).max())
        difference = Difference(shape, absolute, absolute / max(float(np.abs(theirs).max()), 1e-12))
        on_done(difference)
        found.append(difference)
        if not _within(difference, options):  # NaN is not within either
            raise MatteError(
                f"at {difference.size} the ONNX file is off by {difference.relative:.1e} of PyTorch's alpha, which is "
                "too much; the file was deleted, please report this"
            )
    return found


def _within(difference: Difference, options: Options) -> bool:
    if options.pre_post:
        return difference.absolute <= (LEVELS_FP16 if options.fp16 else LEVELS)
    return difference.relative <= (BOUND_FP16 if options.fp16 else BOUND)


# The graph around the network


def _whole(g: Graph, network: Network, options: Options) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Add the whole network; returns the graph's inputs and outputs."""
    batch: str | int = "batch" if options.size is None else 1
    size: tuple[str | int, str | int] = options.size or ("height", "width")
    info = helper.make_tensor_value_info
    if options.pre_post:
        inputs = [
            info("image", TensorProto.UINT8, [batch, *size, 3], "RGB in the file's own (sRGB) values"),
            info("trimap", TensorProto.UINT8, [batch, *size], "0 background, 255 foreground, all else unknown"),
        ]
        output = info("alpha", TensorProto.UINT8, [batch, *size], "0 to 255; known pixels as the trimap has them")
        image, trimap = g.value("image"), g.value("trimap")
        alpha = _finished(g, network.alpha(_prepared(g, image, trimap)), trimap)
    else:
        planes = "RGB in [0, 1], normalised as the metadata says; trimap / 255 (0, 128/255, 1)"
        inputs = [
            info("image_trimap", TensorProto.FLOAT, [batch, 4, *size], f"{planes}; height, width multiples of 16")
        ]
        output = info("alpha", TensorProto.FLOAT, [batch, 1, *size], "alpha, to be clipped to [0, 1]")
        x = g.value("image_trimap")
        alpha = network.alpha(g.cast(x, np.float16) if options.fp16 else x)
        alpha = g.cast(alpha, np.float32) if options.fp16 else alpha
    g.nodes.append(helper.make_node("Identity", [alpha.name], ["alpha"], name="alpha"))
    return inputs, [output]


def _prepared(g: Graph, image: Value, trimap: Value) -> Value:
    """The network's input (B, 4, H', W') from uint8 pixels: normalised, mirror-padded to multiples of STRIDE."""
    with g.scope("prepare"):
        *rgb_factors, trimap_factor = scale(255)
        factors, shift = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (rgb_factors, SHIFT[:3]))
        rgb = g.transpose(g.cast(image, np.float32), 0, 3, 1, 2) * factors + shift  # (B, 3, H, W)
        known = _known(g, trimap)
        codes = g.op("Where", known, trimap, np.array([UNKNOWN], np.uint8))
        planes = g.cast(g.op("Unsqueeze", codes, np.array([1])), np.float32) * trimap_factor  # (B, 1, H, W)
        x = g.op("Concat", rgb, planes, axis=1)
        for axis in (2, 3):
            x = g.op("Gather", x, _mirrored(g, g.dim(x, axis)), axis=axis)
        return g.cast(x, g.dtype)


def _finished(g: Graph, alpha: Value, trimap: Value) -> Value:
    """Alpha as uint8 (B, H, W), cropped to the trimap's size; known pixels have the trimap's value."""
    with g.scope("finish"):
        alpha = g.op("Squeeze", g.cast(alpha, np.float32), np.array([1]))
        alpha = g.slice(alpha, (1, 0, g.dim(trimap, 1)), (2, 0, g.dim(trimap, 2)))
        levels = g.cast(g.op("Round", g.op("Clip", alpha, 0.0, 1.0) * 255.0), np.uint8)
        return g.op("Where", _known(g, trimap), trimap, levels)


def _known(g: Graph, trimap: Value) -> Value:
    """The opposite of `mattecli.trimaps.check.unknown`, as nodes."""
    black, white = (g.op("Equal", trimap, np.array([value], np.uint8)) for value in (BACKGROUND, FOREGROUND))
    return g.op("Or", black, white)


def _mirrored(g: Graph, size: Value) -> Value:
    """The row of the image that each row of the padded one shows: mirrored without repeating the edge."""
    place = g.arange((size + (STRIDE - 1)) // STRIDE * STRIDE)
    period = g.op("Max", (size - 1) * 2, np.array([1]))  # small images are mirrored several times
    place = place % period
    return g.op("Min", place, (size - 1) * 2 - place)


# Custom operators

_CUSTOM: dict[str, Resample] = {"A2UDownsample": operators.downsample, "A2UUpsample": operators.upsample}
_DOCS = {
    "A2UDownsample": "x (B, C, 2h, 2w) halved: 6x6 pixels weighted by softmax(p * s); s (B, 1, h, w), p (B, 36)",
    "A2UUpsample": "x (B, C, h, w) doubled: 3x3 pixels weighted by softmax(sigmoid(p * s)); s (B, 1, h, w), p (B, 36)",
}


def _node(name: str) -> Resample:
    def add(g: Graph, x: Value, s: Value, p: Value) -> Value:
        return g.op(name, x, s, p, domain=DOMAIN)

    return add


def _function(name: str, body: Resample, like: Graph, opset: int) -> onnx.FunctionProto:
    g = Graph(dtype=like.dtype.type, is_function=True)
    y = body(g, *(g.value(given) for given in "xsp"))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_function(DOMAIN, name, list("xsp"), [y.name], g.nodes, opsets, doc_string=_DOCS[name])


def _facts(checkpoint: Checkpoint, network: Network, options: Options) -> dict[str, str]:
    """The file's metadata."""
    licence = "Apache-2.0" if checkpoint.expected is not None else "that of the checkpoint it was made from"
    return {
        "variant": "shared" if network.shared else "unshared",
        "stride": str(STRIDE),
        "normalisation": json.dumps({"mean": MEAN, "std": STD, "trimap": [0, 128 / 255, 1]}),
        "pre_post": str(options.pre_post).lower(),
        "precision": "fp16" if options.fp16 else "fp32",
        "ops": options.ops,
        "weights": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "weights_licence": licence,
        "tool": f"mattecli {__version__}",
    }


def _check_options(options: Options) -> None:
    if not OPSET <= options.opset <= NEWEST_OPSET:
        raise UsageError(f"`opset={options.opset}` is not offered; choose {OPSET} to {NEWEST_OPSET}")
    if options.size is None:
        return
    height, width = options.size
    if not all(1 <= side <= LARGEST for side in options.size):
        raise UsageError(f"`size={height},{width}` is not a size; choose sides from 1 to {LARGEST}")
    if not options.pre_post and any(side != padded(side) for side in options.size):
        raise UsageError(
            f"`size={height},{width}` is not a multiple of {STRIDE} in both; choose one that is, or add `pre_post=True`"
        )


# The check


def _runtime(path: Path, name: str) -> Callable[[Any], NDArray[Any]]:
    from mattecli.onnx.sessions import choose_provider, open_session, translated

    session = open_session(path.read_bytes(), choose_provider("cpu", None))
    names = [entry.name for entry in session.get_inputs()]

    def run(given: list[NDArray[Any]]) -> NDArray[Any]:
        with translated(f"running {name}"):
            found: NDArray[Any] = session.run(None, dict(zip(names, given, strict=True)))[0]
            return found

    return run


def _reference(checkpoint: Checkpoint, options: Options) -> Callable[[Any], NDArray[Any]]:
    import torch

    from mattecli.network.checkpoint import load_a2u

    net = load_a2u(checkpoint.path).double()

    def alpha(planes: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return net(torch.from_numpy(planes).double()).numpy()  # type: ignore[no-any-return]

    def levels(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float64]:
        raw = alpha(network_input(image, trimap)[None])[0, 0, : trimap.shape[0], : trimap.shape[1]]
        return np.where(unknown_pixels(trimap), np.rint(255.0 * raw.clip(0, 1)), trimap)

    if options.pre_post:
        return lambda given: np.stack([levels(image, trimap) for image, trimap in zip(*given, strict=True)])
    return lambda given: alpha(given[0])


def _input(shape: tuple[int, int, int], options: Options, rng: np.random.Generator) -> list[NDArray[Any]]:
    """A synthetic picture of soft shapes, and a trimap with all three kinds of pixels."""
    batch, height, width = shape
    rows, columns = np.mgrid[:height, :width] / 23.0
    waves = rng.uniform(0.3, 2, (batch, 3, 2, 1, 1))
    rgb = 0.5 + 0.4 * np.sin(waves[:, :, 0] * rows + waves[:, :, 1] * columns) + rng.normal(0, 0.02, (batch, 3, 1, 1))
    codes = np.digitize(np.sin(rows + columns) + np.zeros((batch, 1, 1)), (-0.5, 0.5))
    image = np.rint(255 * rgb.clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    trimap = np.array([0, 128, 255], np.uint8)[codes]
    if options.pre_post:
        return [image, trimap]
    return [np.stack([network_input(*pair) for pair in zip(image, trimap, strict=True)])]
