"""Small models for the tests of deployment: random classifiers exported once, and one graph made by hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from study.experiment import Architecture, Views
from study.inference.export import to_onnx
from study.models.classifier import Classifier, build, prepare

MOBILENET, OWN = "mobilenetv3_small_100", "compact_cnn_small"
SIZES = {MOBILENET: 48, OWN: 32}
VIEWS: dict[str, Views] = {MOBILENET: 1, OWN: 6}


def random_images(count: int, seed: int = 0) -> np.ndarray:
    """Smooth uint8 images (count, 3, 32, 32), each of its own colour and gradient."""
    corners = torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(corners, 32, mode="bilinear").mul(255).to(torch.uint8).numpy()


@cache
def classifier(name: str) -> Classifier:
    """A random classifier in eval mode whose batch norms know the images and whose logits spread."""
    model = build(Architecture(name, attention="se" if name == OWN else "", dropout=0.2), classes=10, seed=0)
    x: Tensor = prepare(torch.from_numpy(random_images(32)), SIZES[name], model)
    with torch.no_grad():
        model.train()
        for _ in range(20):
            model(x)
        model.eval().classifier.weight.mul_(50)
        model.classifier.bias.sub_(model(x).mean(dim=0))  # or one class would always win
    return model


@cache
def exported(name: str) -> bytes:
    """The ONNX file of ``classifier(name)``, exported once per session because that takes seconds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        to_onnx(classifier(name), SIZES[name], path, 32, VIEWS[name])
        return path.read_bytes()


def channel_model(path: Path, scale: float = 1.0) -> None:
    """Write a model whose logits are ``scale`` times the image's mean red, green and blue, in [0, 1]."""
    side = 32
    weight = np.repeat(np.eye(3, dtype=np.float32), side * side, axis=0) * scale / (255 * side * side)
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Flatten", ["pixels"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"], name="linear"),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 3, side, side])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "channels", [images], [logits], [numpy_helper.from_array(weight, "weight")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def brightness_model(path: Path) -> None:
    """Write a model without any layer that could be quantised: its logits are the mean of each channel."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["logits"], keepdims=0, name="mean"),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    axes = numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "axes")
    graph = helper.make_graph(nodes, "brightness", [images], [logits], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
