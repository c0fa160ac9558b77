from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study import records
from study.data import ood
from study.data.ood import OodImages
from study.experiment import Views
from study.kinds import McDropout
from study.models import classifier
from study.models.classifier import build
from tests.exported_models import random_images
from tests.study.kinds.workshop import RECIPE, SMALL, Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")

DROPOUT = McDropout(level=5, name="mc-dropout", source="level3/a", passes=4)


def record_source(workshop: Workshop, views: Views = 1) -> records.Run:
    """An untrained network whose logits spread, so that classes hang on its dropout."""
    model = build(replace(SMALL, dropout=0.5), 10, seed=0)
    with torch.no_grad():
        model.classifier.weight.mul_(20)
    source = network("a", replace(RECIPE, test_views=views), replace(SMALL, dropout=0.5))
    return workshop.untrained(source, model)


def test_the_mean_of_the_passes_and_their_uncertainty_are_recorded(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ood, "available", lambda *_: OodImages("Noise", torch.from_numpy(random_images(5))))
    source = record_source(workshop)
    outcome = DROPOUT.carry_out(workshop.context(DROPOUT))
    for split in records.SPLITS:
        mean = np.exp(outcome.arrays[f"{split}_logits"])
        np.testing.assert_allclose(mean.sum(axis=1), 1, atol=1e-5)
        entropy = -(mean * np.log(mean)).sum(axis=1)
        np.testing.assert_allclose(outcome.arrays[f"{split}_entropy"], entropy, atol=1e-4)
        assert outcome.arrays[f"{split}_mutual_information"].max() > 1e-3, "dropout was active"
    assert outcome.arrays["ood_entropy"].shape == outcome.arrays["ood_mutual_information"].shape == (5,)
    assert outcome.metrics["passes"] == 4
    assert outcome.metrics["source_test_accuracy"] == source.metrics["test_accuracy"]


def test_without_ood_images_none_are_recorded(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ood, "available", lambda *_: None)
    record_source(workshop)
    outcome = DROPOUT.carry_out(workshop.context(DROPOUT))
    assert {name.split("_")[0] for name in outcome.arrays} == set(records.SPLITS)


def test_a_pass_of_dropout_is_one_network_for_all_views(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    context = workshop.context(DROPOUT)
    images = context.images("test")[:20]
    monkeypatch.setattr(classifier, "views", lambda x, count: [x] * count)
    one, two = (DROPOUT._samples(record_source(workshop, views), "test", images, context) for views in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_dropout_of_the_study_was_active(tiny_study: Path) -> None:
    run = records.load_run(tiny_study / "level5/mc-dropout/seed-0")
    assert run.arrays["test_mutual_information"].max() > 1e-4
