from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study import records
from study.deployment.int8 import FP32, INT8
from study.experiment import Views
from study.inference.runtime import run_onnx
from study.kinds import Quantization
from study.kinds.quantization import calibration_images, export
from study.running.options import Options
from study.running.study import prepare
from tests.study.kinds.workshop import RECIPE, Workshop, network


def test_calibration_images_are_training_images(workshop: Workshop) -> None:
    digits, context = workshop.dataset, workshop.context(network("a"))
    chosen, again = (calibration_images(30, context) for _ in range(2))
    train = {image.numpy().tobytes() for image in digits.images[digits.train]}
    assert len(chosen) == 30 and all(image.tobytes() in train for image in chosen)
    assert np.array_equal(chosen, again)
    assert len(calibration_images(1_000, context)) == len(digits.train)


@pytest.mark.parametrize("views", [1, 6])
def test_a_network_is_exported_as_it_was_evaluated(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, views: Views
) -> None:
    recipe = replace(RECIPE, stages=(replace(RECIPE.stages[0], image_size=40),), test_views=views)
    run, calls = workshop.untrained(network("a", recipe)), []
    monkeypatch.setattr("study.inference.export.to_onnx", lambda model, *how: calls.append(how))
    export(run, tmp_path / "a.onnx", workshop.context(run.experiment))
    assert calls == [(40, tmp_path / "a.onnx", 32, views)]


@pytest.mark.parametrize("key", ["level5/int8-static", "level5/int8-dynamic"])
def test_int8_answers_to_an_image_do_not_depend_on_its_neighbours(
    tiny_study: Path, tiny_options: Options, key: str
) -> None:
    run = records.load_run(tiny_study / key / "seed-0")
    dataset = prepare(tiny_options).dataset
    images = dataset.images[dataset.test].numpy()[::-1][:5]
    alone = run_onnx(run.folder / INT8, images, batch_size=1)
    assert np.array_equal(alone, run.predictions("test").logits[::-1][:5])


@pytest.mark.parametrize("key", ["level5/int8-static", "level5/int8-static-compact", "level5/int8-dynamic"])
def test_what_quantisation_saves_and_costs_is_recorded(tiny_study: Path, key: str) -> None:
    run = records.load_run(tiny_study / key / "seed-0")
    assert isinstance(run.experiment, Quantization)
    source = records.load_run(tiny_study / run.experiment.source / "seed-0")
    same = run.predictions("test").predicted == source.predictions("test").predicted
    assert run.metrics["agreement"] == pytest.approx(same.mean())
    assert run.metrics["source_test_accuracy"] == source.metrics["test_accuracy"]
    for name, file in (("fp32_bytes", FP32), ("int8_bytes", INT8)):
        assert run.metrics[name] == (run.folder / file).stat().st_size
    assert run.metrics["int8_bytes"] < run.metrics["fp32_bytes"] and run.metrics["quantized_operators"] > 0
