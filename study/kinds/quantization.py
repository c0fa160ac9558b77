"""Post-training quantisation to int8, evaluated as ONNX Runtime executes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from study import records
from study.deployment.int8 import FP32, INT8, quantize_dynamic, quantize_static
from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.records import Outcome, Run

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from study.data.store import Images

Method = Literal["dynamic", "static"]
# Training images on which the ranges of activations are observed before static quantisation.
CALIBRATION_IMAGES = 640
EXPORT_SECONDS = 12.0
HELD_IMAGES = 1_000  # images in memory at a time


@dataclass(frozen=True, kw_only=True)
class Quantization(Kind):
    """Export the source's network to ONNX, quantise it to int8 and evaluate it in ONNX Runtime."""

    source: str = reads()
    method: Method
    calibration_images: int = CALIBRATION_IMAGES

    def carry_out(self, context: Context) -> Outcome:
        import torch

        from study.inference.runtime import CACHED_IMAGES, open_session

        source = context.run(self.source)
        fp32, int8 = context.folder / FP32, context.folder / INT8
        export(source, fp32, context)
        if self.method == "static":
            operators = quantize_static(fp32, int8, calibration_images(self.calibration_images, context))
        else:
            operators = quantize_dynamic(fp32, int8)
        # Dynamic ranges are those of the whole batch: one image at a time, no answer depends on its neighbours.
        batch, threads = 1 if self.method == "dynamic" else CACHED_IMAGES, torch.get_num_threads()
        session = open_session(int8, threads)
        logits = {s: run_all(session, context.images(s), batch) for s in records.SPLITS}
        outcome = context.predicted(logits)
        same = logits["test"].argmax(1) == source.predictions("test").predicted
        outcome.metrics |= {
            "source_test_accuracy": source.metrics["test_accuracy"],
            "agreement": float(same.mean()),
            "fp32_bytes": fp32.stat().st_size,
            "int8_bytes": int8.stat().st_size,
            "quantized_operators": operators,
        }
        return outcome

    def cost(self, scale: Scale) -> float:
        return EXPORT_SECONDS + scale.forward(self.source, scale.evaluated)


def calibration_images(count: int, context: Context) -> np.ndarray:
    """At most ``count`` training images, uint8 (n, 3, S, S), drawn with the run's seed."""
    import torch

    from study.streams import numpy_generator

    train = context.dataset.train.numpy()
    chosen = numpy_generator(context.seed, "calibration").permutation(train)[:count]
    return context.dataset.images[torch.from_numpy(np.sort(chosen))].numpy()


def export(run: Run, path: Path, context: Context) -> None:
    """Write the run's network as an ONNX file, as it was evaluated."""
    from study.inference.export import to_onnx

    model, setting = context.network(run)
    to_onnx(model, setting.size, path, context.dataset.size, setting.views)


def run_all(session: InferenceSession, images: Images, batch: int) -> np.ndarray:
    """Logits (N, C) of images (N, 3, S, S), which may be in a file, ``batch`` at a time."""
    from study.inference.runtime import run_session

    return np.concatenate([run_session(session, part.numpy(), batch) for part in images.split(HELD_IMAGES)])
