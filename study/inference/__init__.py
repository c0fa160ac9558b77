"""Networks at work: evaluation, ONNX Runtime, MC dropout."""
