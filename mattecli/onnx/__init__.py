"""The network as ONNX graphs, from its weights alone."""
