"""The ONNX graph of a network, and workarounds for the libraries that run it."""
