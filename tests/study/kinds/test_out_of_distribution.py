from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study.data import ood
from study.data.ood import OodImages
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.kinds import OutOfDistribution
from study.metrics.calibration import probabilities
from study.metrics.uncertainty import predictive_entropy
from study.models.classifier import load_trained
from tests.exported_models import random_images
from tests.study.kinds.workshop import RECIPE, Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")


def test_run_is_skipped_with_a_line_where_there_are_no_ood_images(workshop: Workshop, tmp_path: Path) -> None:
    bare = replace(workshop, dataset=replace(workshop.dataset, folder=str(tmp_path / "empty")))
    experiment = OutOfDistribution(level=5, name="ood", sources=("level1/finetuned",))
    outcome = experiment.carry_out(bare.context(experiment))
    assert outcome.metrics == {"skipped": ood.NONE_AVAILABLE} and not outcome.arrays


def test_every_sources_logits_are_recorded_as_it_was_evaluated(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OodImages("Noise", torch.from_numpy(random_images(9)))
    monkeypatch.setattr(ood, "available", lambda *_: found)
    runs = [workshop.untrained(network("a")), workshop.untrained(network("b", replace(RECIPE, test_views=2)))]
    experiment = OutOfDistribution(level=5, name="ood", sources=("level3/a", "level3/b"))
    outcome = experiment.carry_out(workshop.context(experiment))
    assert outcome.metrics == {"title": "Noise", "images": 9, "fingerprint": found.fingerprint}
    expected = np.stack(
        [
            evaluation.logits(load_trained(run, 10), found.images, Setting(32, views=views), workshop.machine).numpy()
            for run, views in zip(runs, (1, 2), strict=True)
        ]
    )
    np.testing.assert_allclose(outcome.arrays["ood_logits"], expected, atol=1e-5)
    np.testing.assert_allclose(outcome.arrays["ood_entropy"], predictive_entropy(probabilities(expected)), rtol=1e-4)
