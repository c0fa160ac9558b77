"""A second dataset, and how well uncertainties tell it from the first."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.statistics.ood import outliers_of, separation_auroc
from analysis.statistics.trust import trust_of
from analysis.view import view_study
from study import execution, records
from study.data import ood
from study.data.datasets import Dataset
from study.errors import StudyError
from study.execution import Context
from study.experiment import OutOfDistribution
from study.machine import Machine
from tests.fabricate import fabricate


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data folder, named by $STUDY_DATA."""
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    return tmp_path


def place_fashion_mnist(root: Path, images: int = 9) -> np.ndarray:
    """Write a tiny test set in the format of LeCun's MNIST files; returns its pixels."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), dtype=np.uint8)
    for split in ("train", "t10k"):
        content = struct.pack(">IIII", 0x803, images, 28, 28) + pixels.tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(content)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, images) + bytes(images))
    return pixels


def test_digits_have_no_outliers_of_their_own(digits: Dataset, no_data: Path) -> None:
    assert ood.at_hand(digits) is None


def test_another_study_takes_the_digits(digits: Dataset, no_data: Path) -> None:
    found = ood.at_hand(replace(digits, name="cifar10"))
    assert found is not None and found.title == "scikit-learn's digits"
    assert found.images.shape == (len(digits.test), 3, 32, 32)


def test_fashion_mnist_is_preferred_where_it_lies_beside_the_data(digits: Dataset, no_data: Path) -> None:
    pixels = place_fashion_mnist(no_data)
    found = ood.at_hand(digits)
    assert found is not None and found.title == "Fashion-MNIST" and found.images.shape == (9, 3, 32, 32)
    np.testing.assert_allclose(found.images.float().mean(), pixels.mean(), rtol=0.03)


def test_damaged_fashion_mnist_is_refused(digits: Dataset, no_data: Path) -> None:
    place_fashion_mnist(no_data)
    (no_data / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(b"no images"))
    with pytest.raises(StudyError, match="Fashion-MNIST in .* is damaged or incomplete"):
        ood.at_hand(digits)


def test_run_is_skipped_with_a_line_where_none_are_at_hand(
    digits: Dataset, cpu: Machine, tmp_path: Path, no_data: Path
) -> None:
    experiment = OutOfDistribution(level=5, name="ood", title="O", sources=("level1/finetuned",))
    outcome = execution.execute(experiment, Context(digits, cpu, tmp_path, tmp_path, 0, lambda _: None))
    assert outcome.metrics == {"skipped": ood.NONE_AT_HAND} and not outcome.arrays


def test_separation_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0, 1, (2, 50)), rng.normal(1, 1, (1, 30))
    expected = roc_auc_score([0] * 100 + [1] * 30, [*inside.ravel(), *outside.ravel()])
    assert separation_auroc(inside, outside) == pytest.approx(expected)


def test_every_uncertainty_is_scored_on_the_outliers(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, seeds=(0, 1)))
    trust = trust_of(view)
    assert trust is not None and trust.outliers is not None
    assert set(trust.outliers.scores) == set(trust.uncertainties)
    assert {scores.shape for scores in trust.outliers.scores.values()} == {(2, 100)}
    assert trust.outlier_auroc("ensemble-entropy") > 0.9


def test_skipped_outliers_say_why(tmp_path: Path) -> None:
    study = fabricate(tmp_path, skip=["level5/out-of-distribution"])
    assert outliers_of(view_study(study), "level3/se-head", {0: 1.0}) is None
    folder = records.run_folder(study, "level5/out-of-distribution", 0)
    entry = next(e for e in records.load_plan(study)["experiments"] if e["name"] == "out-of-distribution")
    records.write_json(folder / "spec.json", {"experiment": entry["spec"], "seed": 0, "upstream": {}})
    records.finish(folder, {"skipped": "none at hand"}, {"total": 0.0})
    found = outliers_of(view_study(study), "level3/se-head", {0: 1.0})
    assert found is not None and found.skipped == "none at hand" and not found.scores
