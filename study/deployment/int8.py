"""Post-training int8 quantisation of exported models by ONNX Runtime."""

from __future__ import annotations

import itertools
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.errors import StudyError
from study.files import write_bytes
from study.inference.runtime import INPUT, open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from torch import nn

FP32, INT8 = "model-fp32.onnx", "model-int8.onnx"  # of one network, side by side in a run's folder
CALIBRATION_BATCH = 64
LINEAR_OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
INTEGER_OPERATORS = frozenset({"ConvInteger", "MatMulInteger"})


class Calibration:
    """Batches of images (N, 3, H, W), in the way ONNX Runtime's calibrator asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        starts = range(0, len(images), CALIBRATION_BATCH)
        self._batches = iter([images[start : start + CALIBRATION_BATCH] for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by input name, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch)}


def quantize_static(fp32: Path, int8: Path, calibration_images: np.ndarray) -> int:
    """Write an int8 version of ``fp32`` with activation ranges observed on ``calibration_images``.

    ``calibration_images`` (N, 3, H, W), of the type that the model takes, must come from the training
    split. Weights are signed and scaled per output channel, which MobileNets need (Nagel et al. 2021,
    https://arxiv.org/abs/2106.08295); activations are unsigned, for which x86 has the faster instructions. Their ranges
    are the mean over batches of each batch's, so that no single image sets one. Resizing and normalising stay in
    float, and so do the logits, which eight bits would tie. Returns the number of convolutions and matrix products
    that now run on integers; StudyError when there is none.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    if not len(calibration_images):
        raise StudyError("static quantisation needs at least one training image to calibrate on")
    how = {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QUInt8,
        "extra_options": {"CalibMovingAverage": True, "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
    }
    return _write(fp32, int8, quantize_static, calibration_data_reader=Calibration(calibration_images), **how)


def session_of(model: nn.Module, size: int, stored: int, calibration_images: np.ndarray | None) -> InferenceSession:
    """A session of a network that sees images, ``stored`` at one size, at ``size`` px.

    In int8 by ``calibration_images`` (N, 3, H, W) if any.
    """
    import torch

    from study.inference.export import to_onnx

    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / FP32, Path(folder) / INT8
        to_onnx(model, size, fp32, stored)
        if calibration_images is not None:
            quantize_static(fp32, int8, calibration_images)
        content = (fp32 if calibration_images is None else int8).read_bytes()
    return open_session(content, torch.get_num_threads())


def quantize_dynamic(fp32: Path, int8: Path) -> int:
    """Write a version of ``fp32`` whose linear layers have int8 weights and quantise their input as they run.

    Convolutions stay in float, as with PyTorch's dynamic quantisation of Linear layers. Returns the number of
    matrix products that now run on integers; StudyError when there is none.
    """
    from onnxruntime.quantization import quantize_dynamic

    return _write(fp32, int8, quantize_dynamic, op_types_to_quantize=["MatMul", "Gemm"])


def _write(fp32: Path, int8: Path, quantize: Callable[..., None], **how: object) -> int:
    """Write what a function of ONNX Runtime makes of the model with shapes inferred; counts what runs on integers."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not fp32.is_file():
        raise StudyError(f"there is no model at {fp32}; run the study again to export it")
    with tempfile.TemporaryDirectory() as folder:
        prepared, result = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        # Symbolic shapes stay on: without them dynamic quantisation fails on Gemm (onnxruntime issue 25890).
        quant_pre_process(fp32, prepared)
        quantize(
            prepared,
            result,
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=_saturates(),
            nodes_to_exclude=_preprocessing(prepared),
            **how,
        )
        if not (count := quantized_operators(result)):
            raise StudyError(f"nothing was quantised in {int8.name}: the model has no layer this method applies to")
        write_bytes(int8, result.read_bytes())
    return count


def _saturates() -> bool:
    """Whether this processor adds pairs of 8-bit products in 16 bits, which only weights of seven bits cannot overflow.

    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html: x86 without VNNI does.
    """
    import torch

    return platform.machine().lower() in ("x86_64", "amd64") and not torch.cpu._is_vnni_supported()


def quantized_operators(path: Path) -> int:
    """How many convolutions and matrix products of a model run on integers.

    Counted are integer operators and those whose data and weights both come from DequantizeLinear, which ONNX
    Runtime fuses into integer kernels.
    """
    import onnx

    graph = onnx.load(path).graph
    dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return sum(
        node.op_type in INTEGER_OPERATORS
        or (node.op_type in LINEAR_OPERATORS and dequantized.issuperset(node.input[:2]))
        for node in graph.node
    )


def _preprocessing(path: Path) -> list[str]:
    """Names of the nodes ahead of the first convolution; in integers they would round the image again."""
    import onnx

    return [node.name for node in itertools.takewhile(lambda node: node.op_type != "Conv", onnx.load(path).graph.node)]
