"""Affinity-aware resampling: the A2U operator, for networks of your own too.

    predict, down, up = KernelPredictor(64), A2UDownsample(), A2UUpsample()
    affinity = predict(x)           # of a map (B, 64, H, W), H and W even
    small = down(x, affinity)       # (B, 64, H/2, W/2)
    large = up(small, affinity)     # (B, 64, H, W)

The functions that the modules call are operators of PyTorch (`torch.ops.mattecli`), so they work with autograd,
`torch.compile`, `torch.export`, meta tensors and autocast. Source: Dai, Lu and Shen, "Learning Affinity-Aware
Upsampling for Deep Image Matting", CVPR 2021. `docs/operator.md` explains them.
"""

from mattecli.ops.affinity import A2UDownsample, A2UUpsample, Affinity, KernelPredictor
from mattecli.ops.kernels import down_kernel, up_kernel
from mattecli.ops.resample import correlate, correlate_pair, downsample, reassemble_down, reassemble_up, upsample

__all__ = [
    "A2UDownsample",
    "A2UUpsample",
    "Affinity",
    "KernelPredictor",
    "correlate",
    "correlate_pair",
    "down_kernel",
    "downsample",
    "reassemble_down",
    "reassemble_up",
    "up_kernel",
    "upsample",
]
