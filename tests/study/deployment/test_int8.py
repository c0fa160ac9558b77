"""int8 models: what was quantised, how small they are and how close they stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from study.deployment.int8 import quantize_dynamic, quantize_static, quantized_operators
from study.errors import StudyError
from study.inference.runtime import run_onnx
from tests.exported_models import MOBILENET, OWN, brightness_model, exported, random_images


@pytest.fixture
def mobilenet(tmp_path: Path) -> Path:
    path = tmp_path / "model-fp32.onnx"
    path.write_bytes(exported(MOBILENET))
    return path


def linear_operators(path: Path) -> int:
    """The network's own: resizing ahead of it is two plain matrix products."""
    return sum(node.op_type in ("Conv", "Gemm") for node in onnx.load(path).graph.node)


def integer_kernels(path: Path, folder: Path) -> int:
    """Convolutions and matrix products that ONNX Runtime itself executes on integers."""
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimised.onnx"), 4
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]
    return sum(name in ("QLinearConv", "QGemm", "DynamicQuantizeMatMul") for name in operators)


def signal_to_noise(path: Path, reference: Path, images: np.ndarray) -> float:
    """Variance of the reference logits over images, divided by the mean squared deviation from them."""
    expected, got = run_onnx(reference, images), run_onnx(path, images)
    return float(expected.var(axis=0).mean() / ((got - expected) ** 2).mean())


def test_static_quantisation_covers_every_linear_operator_of_mobilenet(mobilenet: Path, tmp_path: Path) -> None:
    int8 = tmp_path / "model-int8.onnx"
    count = quantize_static(mobilenet, int8, random_images(32))
    assert count == linear_operators(mobilenet) == quantized_operators(int8) == integer_kernels(int8, tmp_path)
    assert int8.stat().st_size < 0.35 * mobilenet.stat().st_size


def test_static_quantisation_stays_close_to_the_float_model(tmp_path: Path) -> None:
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    fp32.write_bytes(exported(OWN))
    quantize_static(fp32, int8, random_images(64))
    assert signal_to_noise(int8, fp32, random_images(32, seed=3)) > 50


def test_static_weights_have_one_scale_per_output_channel(tmp_path: Path) -> None:
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    fp32.write_bytes(exported(OWN))
    quantize_static(fp32, int8, random_images(8))
    weights = [tensor for tensor in onnx.load(int8).graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    scales = {
        tensor.name: tensor.dims for tensor in onnx.load(int8).graph.initializer if tensor.name.endswith("_scale")
    }
    convolutions = [tensor for tensor in weights if len(tensor.dims) == 4]
    assert convolutions
    for tensor in convolutions:
        assert scales[tensor.name.replace("_quantized", "_scale")] == [tensor.dims[0]]


def test_dynamic_quantisation_reaches_the_classifier_of_mobilenet(mobilenet: Path, tmp_path: Path) -> None:
    int8 = tmp_path / "model-int8.onnx"
    assert quantize_dynamic(mobilenet, int8) == integer_kernels(int8, tmp_path) == 1
    operators = [node.op_type for node in onnx.load(int8).graph.node]
    assert operators.count("MatMulInteger") == 1
    assert operators.count("Conv") == linear_operators(mobilenet) - 1
    assert signal_to_noise(int8, mobilenet, random_images(16, seed=3)) > 50


def test_a_float_model_has_no_quantised_operators(mobilenet: Path) -> None:
    assert quantized_operators(mobilenet) == 0


def test_model_without_linear_layers_is_refused_and_nothing_written(tmp_path: Path) -> None:
    brightness_model(tmp_path / "fp32.onnx")
    for quantize in (quantize_dynamic, lambda fp32, int8: quantize_static(fp32, int8, random_images(4))):
        with pytest.raises(StudyError, match="nothing was quantised"):
            quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


def test_missing_model_and_missing_images_are_reported(mobilenet: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no model"):
        quantize_dynamic(tmp_path / "absent.onnx", tmp_path / "int8.onnx")
    with pytest.raises(StudyError, match="at least one training image"):
        quantize_static(mobilenet, tmp_path / "int8.onnx", random_images(0))
