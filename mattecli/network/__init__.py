"""The A2U matting network of Dai, Lu and Shen (CVPR 2021), with its checkpoints.

`load_a2u(path)` gives the network with a checkpoint's weights; `A2UNet(shared=True)` one with random weights.
"""

from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, read_state_dict, save_a2u

__all__ = ["A2UNet", "load_a2u", "read_state_dict", "save_a2u"]
