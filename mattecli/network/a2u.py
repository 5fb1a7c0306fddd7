"""The whole network: encoder, ASPP and decoder.

The encoder is residual, and the decoder upsamples with the encoder's affinities.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.network.affinity import Affinity, AffinityPredictor
from mattecli.network.blocks import ASPP, Chain, Conv, DecoderLayer, DownBlock, ResidualBlocks, Upsampling, conv_abn
from mattecli.ops.resample import downsample
from mattecli.spec import TAPS


class A2UNet(nn.Module):
    """A2U matting (Dai, Lu and Shen, CVPR 2021): RGB and trimap in, alpha out.

    Input (B, 4, H, W): RGB and trimap, scaled and shifted as `mattecli/spec.py` says; H and W multiples of 16. Output
    (B, 1, H, W): alpha, not clipped. `shared` predicts one affinity kernel for all channels; otherwise each channel has
    its own (the paper's channel-wise variant). `upsampling` other than by affinity is for comparisons: the encoder
    still downsamples by affinity, and the parameters that only up kernels need are left out.
    """

    # Weights of a pixel's two nearest source pixels along each axis. They mark the other upsamplings in a checkpoint.
    TAPS: ClassVar[dict[Upsampling, tuple[float, float]]] = {"nearest": (1.0, 0.0), "bilinear": (0.75, 0.25)}

    def __init__(self, *, shared: bool = True, upsampling: Upsampling = "affinity") -> None:
        super().__init__()
        self.shared, self.upsampling = shared, upsampling
        up_kernels = upsampling == "affinity"
        self.layer0 = conv_abn(4, 64, 7)
        self.bilinear0 = AffinityPredictor(64, shared=shared, up_kernels=up_kernels)
        self.bilinear1 = AffinityPredictor(64, shared=shared, up_kernels=up_kernels)
        self.layer1 = ResidualBlocks(64)
        self.layer2_1 = DownBlock(64, 128, shared=shared, up_kernels=up_kernels)
        self.layer2_2 = ResidualBlocks(128)
        self.layer3_1 = DownBlock(128, 256, shared=shared, up_kernels=up_kernels)
        self.layer3_2 = ResidualBlocks(256)
        self.dconv_pp = ASPP(256)
        self.decoder_layer4 = DecoderLayer(256, 128, upsampling=upsampling)
        self.decoder_layer3 = DecoderLayer(128, 64, upsampling=upsampling)
        self.decoder_layer2 = DecoderLayer(64, 64, upsampling=upsampling)
        self.decoder_layer1 = DecoderLayer(64, 32, upsampling=upsampling)
        self.short3 = conv_abn(128, 256, 3)
        self.short2 = conv_abn(64, 128, 3)
        self.short1 = conv_abn(64, 64, 3)
        self.short0 = conv_abn(4, 64, 3)
        self.pred = Chain(conv_abn(32, 1, 3), Conv(1, 1, 3))
        if upsampling in self.TAPS:
            self.register_buffer(TAPS, torch.tensor(self.TAPS[upsampling]))

    def forward(self, x: Tensor) -> Tensor:
        """Alpha (B, 1, H, W), unclipped, of the normalised input x (B, 4, H, W)."""
        l0 = self.layer0(x)  # (B, 64, H, W)
        affinity0 = self.bilinear0(l0)
        l0p = downsample(l0, affinity0.s, affinity0.p_down)  # (B, 64, H/2, W/2)
        del l0  # the largest map
        affinity1 = self.bilinear1(l0p)
        l1 = self.layer1(downsample(l0p, affinity1.s, affinity1.p_down))  # (B, 64, H/4, W/4)
        l2, affinity2 = self.layer2_1(l1)
        l2 = self.layer2_2(l2)  # (B, 128, H/8, W/8)
        l3, affinity3 = self.layer3_1(l2)
        l3 = self.layer3_2(l3)  # (B, 256, H/16, W/16)
        d = self.dconv_pp(l3)
        d = self.decode(4, d, affinity3, l2)  # (B, 128, H/8, W/8)
        d = self.decode(3, d, affinity2, l1)  # (B, 64, H/4, W/4)
        d = self.decode(2, d, affinity1, l0p)  # (B, 64, H/2, W/2)
        d = self.decode(1, d, affinity0, x)  # (B, 32, H, W)
        exact = next(self.pred.parameters()).dtype
        if d.dtype == exact:
            return self.pred(d)  # type: ignore[no-any-return]
        # Under autocast: bfloat16 rounds 0.9981 to 1, and a training in it does not notice that alphas sink to that.
        with torch.autocast(d.device.type, enabled=False):
            return self.pred(d.to(exact))  # type: ignore[no-any-return]

    def decode(self, level: int, d: Tensor, affinity: Affinity, source: Tensor, edges: Edges = WHOLE) -> Tensor:
        """One level of the decoder: upsample `d`, add the shortcut from `source`, run two residual blocks.

        At a side that is not an edge the output is smaller than `source` by 1 + DecoderLayer.REACH.
        """
        layer, shortcut = getattr(self, f"decoder_layer{level}"), getattr(self, f"short{level - 1}")
        return layer(d, affinity, shortcut(source, edges), edges)  # type: ignore[no-any-return]


def as_unshared(network: A2UNet) -> A2UNet:
    """An unshared network that computes what the shared one does: each channel has a copy of its u and v."""
    copy = A2UNet(shared=False, upsampling=network.upsampling).train(network.training)
    shapes = {name: tensor.shape for name, tensor in copy.state_dict().items()}
    copy.load_state_dict({name: tensor.expand(shapes[name]) for name, tensor in network.state_dict().items()})
    return copy
