"""Post-training int8 quantisation of exported models by ONNX Runtime."""

from __future__ import annotations

import itertools
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.errors import StudyError
from study.inference.runtime import INPUT
from study.records import write_bytes

if TYPE_CHECKING:
    from onnx import GraphProto

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
    https://arxiv.org/abs/2106.08295); activations are unsigned, for which x86 has the faster instructions.
    Resizing and normalising stay in float. Returns the number of convolutions and matrix products that now
    run on integers; StudyError when there is none.
    """
    from onnxruntime.quantization import QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    if not len(calibration_images):
        raise StudyError("static quantisation needs at least one training image to calibrate on")
    with _preprocessed(fp32) as (prepared, result):
        quantize(
            prepared,
            result,
            Calibration(calibration_images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=_saturates(),
            nodes_to_exclude=_preprocessing(prepared),
        )
        return _keep(result, int8)


def quantize_dynamic(fp32: Path, int8: Path) -> int:
    """Write a version of ``fp32`` whose linear layers have int8 weights and quantise their input as they run.

    Convolutions stay in float, as with PyTorch's dynamic quantisation of Linear layers. Returns the number of
    matrix products that now run on integers; StudyError when there is none.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    with _preprocessed(fp32) as (prepared, result):
        quantize(
            prepared,
            result,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=_saturates(),
            nodes_to_exclude=_preprocessing(prepared),
        )
        return _keep(result, int8)


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
    graph = _graph(path)
    dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return sum(
        node.op_type in INTEGER_OPERATORS
        or (node.op_type in LINEAR_OPERATORS and dequantized.issuperset(node.input[:2]))
        for node in graph.node
    )


def _graph(path: Path) -> GraphProto:
    import onnx

    return onnx.load(path).graph


def _preprocessing(path: Path) -> list[str]:
    """Names of the nodes ahead of the first convolution; in integers they would round the image again."""
    nodes = itertools.takewhile(lambda node: node.op_type != "Conv", _graph(path).node)
    return [node.name for node in nodes]


@contextmanager
def _preprocessed(fp32: Path) -> Iterator[tuple[Path, Path]]:
    """The model with shapes inferred and a path for the result; both vanish afterwards."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not fp32.is_file():
        raise StudyError(f"there is no model at {fp32}; run the study again to export it")
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        # Symbolic shapes stay on: without them dynamic quantisation fails on Gemm (onnxruntime issue 25890).
        quant_pre_process(fp32, prepared)
        yield prepared, Path(folder) / "int8.onnx"


def _keep(result: Path, int8: Path) -> int:
    count = quantized_operators(result)
    if not count:
        raise StudyError(f"nothing was quantised in {int8.name}: the model has no layer this method applies to")
    write_bytes(int8, result.read_bytes())
    return count
