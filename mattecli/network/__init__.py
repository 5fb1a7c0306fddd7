"""The A2U network in PyTorch, its checkpoints and its input."""
