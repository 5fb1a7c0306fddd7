"""The A2U matting network of Dai, Lu and Shen (CVPR 2021), its checkpoints, and its input."""
