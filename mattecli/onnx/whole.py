"""The whole network as one ONNX model, for other runtimes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto, helper

from mattecli._version import __version__
from mattecli.errors import UsageError
from mattecli.onnx import operators
from mattecli.onnx.graph import Graph, Value
from mattecli.onnx.network import Network, Resample
from mattecli.onnx.read_weights import PRODUCER, read_weights
from mattecli.onnx.stages import IR_VERSION, OPSET
from mattecli.spec import MEAN, SHIFT, STD, STRIDE, padded, scale
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.weights import Checkpoint

Ops = Literal["standard", "custom"]
DOMAIN = "mattecli"  # of the custom operators
NEWEST_OPSET = 23  # the newest that was tested
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

    def check(self) -> None:
        """Raise UsageError for operators, an opset or a size that is not offered."""
        if self.ops not in get_args(Ops):
            raise UsageError(f"`ops={self.ops}` is not offered; choose {' or '.join(get_args(Ops))}")
        if not OPSET <= self.opset <= NEWEST_OPSET:
            raise UsageError(f"`opset={self.opset}` is not offered; choose {OPSET} to {NEWEST_OPSET}")
        if self.size is None:
            return
        height, width = self.size
        if not all(1 <= side <= LARGEST for side in self.size):
            raise UsageError(f"`size={height},{width}` is not a size; choose sides from 1 to {LARGEST}")
        if not self.pre_post and any(side != padded(side) for side in self.size):
            raise UsageError(
                f"`size={height},{width}` is not a multiple of {STRIDE} in both; choose one that is, or add "
                "`pre_post=True`"
            )


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
