"""An exported model computes what the trained one does, preprocessing included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from study.errors import StudyError
from study.experiment import Views
from study.inference.export import to_onnx
from study.inference.runtime import run_onnx
from study.models.classifier import prepare, views
from tests.exported_models import MOBILENET, OWN, SIZES, VIEWS, classifier, exported, random_images


def torch_logits(name: str, images: np.ndarray, count: Views = 1) -> np.ndarray:
    model = classifier(name)
    x = prepare(torch.from_numpy(images), SIZES[name], model)
    with torch.inference_mode():
        return torch.stack([model(view) for view in views(x, count)]).mean(0).numpy()


@pytest.mark.parametrize("name", [MOBILENET, OWN])
def test_exported_model_gives_the_logits_of_the_trained_one(name: str, tmp_path: Path) -> None:
    path, images = tmp_path / "model.onnx", random_images(7, seed=1)
    path.write_bytes(exported(name))
    expected = torch_logits(name, images, VIEWS[name])
    assert expected.std(axis=0).min() > 0.05, "logits must depend on the image for the comparison to mean something"
    np.testing.assert_allclose(run_onnx(path, images, batch_size=3), expected, atol=1e-3)


def test_mirroring_is_part_of_the_graph_when_asked_for(tmp_path: Path) -> None:
    path, images = tmp_path / "model.onnx", random_images(4, seed=2)
    to_onnx(classifier(OWN), SIZES[OWN], path, 32, 2)
    mirrored = np.ascontiguousarray(images[..., ::-1])
    np.testing.assert_allclose(run_onnx(path, images), run_onnx(path, mirrored), atol=1e-4)
    assert np.abs(torch_logits(OWN, images) - torch_logits(OWN, mirrored)).max() > 0.01


def test_exported_file_takes_stored_images_and_reveals_no_paths() -> None:
    model = onnx.load_from_string(exported(MOBILENET))
    (entry,) = model.graph.input
    assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in entry.type.tensor_type.shape.dim][1:] == [3, 32, 32]
    assert str(Path(__file__).parents[3]).encode() not in exported(MOBILENET)


class DataDependent(nn.Module):
    """Takes a branch that depends on the values of the image, which no static graph can express."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("std", torch.ones(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum().item() > 0 else x.amax((2, 3))


def test_model_that_cannot_be_exported_is_reported_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StudyError, match="cannot be exported to ONNX") as raised:
        to_onnx(DataDependent().eval(), 32, tmp_path / "model.onnx", 32)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
