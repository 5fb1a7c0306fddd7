"""The network's constants, its input and its checkpoint tensors."""

from __future__ import annotations

STRIDE = 16  # the network halves its map four times, so the sides of its input are multiples of this
BINS = 6  # rows and columns of an affinity predictor's average pool
GROUPS = 32  # groups of channels in an affinity predictor's group norms
EPS = 1e-5  # added to every variance, and to the absolute value of every batch norm's scale
LEAK = 0.01  # slope of every leaky ReLU below zero
DILATIONS = (6, 12, 18)  # of ASPP's three depthwise convolutions
MEAN = (0.485, 0.456, 0.406)  # of ImageNet in red, green and blue: the network was trained with these
STD = (0.229, 0.224, 0.225)

# Input plane = value · scale + shift, for red, green, blue and the trimap.
SHIFT = (*(-mean / deviation for mean, deviation in zip(MEAN, STD, strict=True)), 0.0)

# The affinity predictors by name, and how many channels their maps have.
PREDICTORS = {"bilinear0": 64, "bilinear1": 64, "layer2_1.bilinear": 128, "layer3_1.bilinear": 256}
VARIANT = "bilinear0.bconv_U.1.weight"  # has one row in the shared variant, one for each channel in the other
TAPS = "upsampling_taps"  # only in a network whose decoder does not upsample by affinity
# The convolution that a norm follows, by the last part of their names.
CONV_BEFORE = {"1": "0", "2": "1", "3": "2", "bn1": "conv1", "bn2": "conv2", "proj_bn": "proj_conv"}

Shapes = dict[str, tuple[int, ...]]


def scale(full_scale: float) -> tuple[float, ...]:
    """The factors of red, green, blue and the trimap, for a photo whose white is `full_scale`."""
    return (*(1 / (full_scale * deviation) for deviation in STD), 1 / 255)


def padded(size: int) -> int:
    """The height or width of the network's input for a photo's: the next multiple of STRIDE."""
    return size + -size % STRIDE


def tensor_shapes(*, shared: bool, up_kernels: bool = True) -> Shapes:
    """The shape of each tensor in a checkpoint, by name and in the authors' order.

    `shared` has one U and one V for all channels. Without `up_kernels` the decoder upsamples by fixed weights, which
    are the tensor TAPS.
    """
    shapes: Shapes = {} if up_kernels else {TAPS: (2,)}
    shapes |= _conv_norm("layer0.0", "layer0.1", 64, 4, 7)
    for name in ("bilinear0", "bilinear1"):
        shapes |= _predictor(name, 64, shared, up_kernels)
    shapes |= _residual_blocks("layer1", 64)
    for number, inputs, outputs in ((2, 64, 128), (3, 128, 256)):
        name = f"layer{number}_1"
        shapes |= _conv_norm(f"{name}.layer1.conv1", f"{name}.layer1.bn1", outputs, inputs, 3)
        shapes |= _conv_norm(f"{name}.layer2.conv2", f"{name}.layer2.bn2", outputs, outputs, 3)
        shapes |= _predictor(f"{name}.bilinear", outputs, shared, up_kernels)
        shapes |= _conv_norm(f"{name}.proj_conv", f"{name}.proj_bn", outputs, inputs, 1)
        shapes |= _residual_blocks(f"layer{number}_2", outputs)
    shapes |= _aspp("dconv_pp", 256)
    for level, inputs, outputs in ((4, 256, 128), (3, 128, 64), (2, 64, 64), (1, 64, 32)):
        shapes |= _decoder_block(f"decoder_layer{level}.dconv", inputs, outputs)
        shapes |= _decoder_block(f"decoder_layer{level}.dconv1", outputs, outputs)
    for number, inputs, outputs in ((3, 128, 256), (2, 64, 128), (1, 64, 64), (0, 4, 64)):
        shapes |= _conv_norm(f"short{number}.0", f"short{number}.1", outputs, inputs, 3)
    return shapes | _conv_norm("pred.0.0", "pred.0.1", 1, 32, 3) | {"pred.1.weight": (1, 1, 3, 3)}


def _conv_norm(conv: str, norm: str, outputs: int, inputs: int, size: int) -> Shapes:
    """A convolution without bias and its batch norm."""
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{conv}.weight": (outputs, inputs, size, size), **{f"{norm}.{kind}": (outputs,) for kind in kinds}}


def _predictor(name: str, channels: int, shared: bool, up_kernels: bool) -> Shapes:
    shapes: Shapes = {f"{name}.{norm}.0.{kind}": (channels,) for norm in ("bnu", "bnv") for kind in ("weight", "bias")}
    factors = 1 if shared else channels
    rows = {"bconv_UP": 36, "bconv_DP": 36, "bconv_U": factors, "bconv_V": factors}
    if not up_kernels:
        del rows["bconv_UP"]
    for part, count in rows.items():
        shapes |= {f"{name}.{part}.1.weight": (count, channels, 1, 1), f"{name}.{part}.1.bias": (count,)}
    return shapes


def _two_convs(name: str, inputs: int, outputs: int) -> Shapes:
    first = _conv_norm(f"{name}.conv1", f"{name}.bn1", outputs, inputs, 3)
    return first | _conv_norm(f"{name}.conv2", f"{name}.bn2", outputs, outputs, 3)


def _residual_blocks(name: str, channels: int) -> Shapes:
    shapes: Shapes = {}
    for number in (1, 2, 3):
        shapes |= _two_convs(f"{name}.block{number}.convs", channels, channels)
    return shapes


def _aspp(name: str, channels: int) -> Shapes:
    shapes = _conv_norm(f"{name}.aspp1.atrous_conv.0", f"{name}.aspp1.atrous_conv.1", channels, channels, 1)
    for number in (2, 3, 4):
        branch = f"{name}.aspp{number}.atrous_conv"
        shapes |= _conv_norm(f"{branch}.0", f"{branch}.1", channels, 1, 3)
        shapes |= _conv_norm(f"{branch}.2", f"{branch}.3", channels, channels, 1)
    shapes |= _conv_norm(f"{name}.global_avg_pool.1", f"{name}.global_avg_pool.2", channels, channels, 1)
    bottleneck = f"{name}.bottleneck_conv"
    return shapes | _conv_norm(f"{bottleneck}.0", f"{bottleneck}.1", channels, 5 * channels, 1)


def _decoder_block(name: str, inputs: int, outputs: int) -> Shapes:
    shapes = _two_convs(f"{name}.dep_sep_conv", inputs, outputs)
    return (
        shapes if inputs == outputs else shapes | _conv_norm(f"{name}.proj_conv", f"{name}.proj_bn", outputs, inputs, 1)
    )
