"""The A2U network of Dai, Lu and Shen (CVPR 2021)."""
