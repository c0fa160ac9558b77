"""Run exported models in ONNX Runtime; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.errors import StudyError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUT = "images", "logits"
ERRORS_ONLY = 3
# A processor's caches hold what a network makes of this many images, not of the hundreds in a batch of training.
CACHED_IMAGES = 4


def open_session(model: Path | bytes, threads: int) -> InferenceSession:
    """A CPU session of a model file, or of its content, on ``threads`` threads that rest as soon as a call returns.

    StudyError when the file is missing or is no model that ONNX Runtime can load.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = ERRORS_ONLY
    # Otherwise the workers of an idle session spin and slow down whichever session runs next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if isinstance(model, Path) and not model.is_file():
        raise StudyError(f"there is no model at {model}; run the study again to export it")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of the C++ core share no base class below Exception
        name = model if isinstance(model, Path) else "the exported network"
        raise StudyError(
            f"{name} is not a model that ONNX Runtime can load; run the study again to export it"
        ) from error


def run_session(session: InferenceSession, images: np.ndarray, batch_size: int = CACHED_IMAGES) -> np.ndarray:
    """The session's only output for images (N, …), computed in batches of ``batch_size``."""
    images = np.ascontiguousarray(images)
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate([session.run([OUTPUT], {INPUT: batch})[0] for batch in batches])


def run_onnx(path: Path, images: np.ndarray, batch_size: int = CACHED_IMAGES) -> np.ndarray:
    """Logits (N, C) float32 of uint8 images (N, 3, H, W) by a model file, in batches, on one thread."""
    return run_session(open_session(path, threads=1), images, batch_size)
