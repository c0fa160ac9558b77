"""ONNX Runtime sessions: batches and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.errors import StudyError
from study.inference.runtime import run_onnx
from tests.exported_models import channel_model, random_images


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_logits_do_not_depend_on_the_batch_size(batch_size: int, tmp_path: Path) -> None:
    channel_model(tmp_path / "model.onnx")
    images = random_images(10)
    logits = run_onnx(tmp_path / "model.onnx", images, batch_size)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, images.mean(axis=(2, 3)) / 255, rtol=1e-4)


def test_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no model at .*model.onnx"):
        run_onnx(tmp_path / "model.onnx", random_images(1))


def test_damaged_model_is_one_clear_line(tmp_path: Path) -> None:
    channel_model(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes()[:-50])
    with pytest.raises(StudyError, match="not a model that ONNX Runtime can load"):
        run_onnx(tmp_path / "model.onnx", random_images(1))
