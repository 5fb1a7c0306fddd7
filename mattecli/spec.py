"""Constants of the A2U network and of its input."""

STRIDE = 16  # the network halves its map four times; its input's sides are multiples of this
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as the network was trained with
STD = (0.229, 0.224, 0.225)
