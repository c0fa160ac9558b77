from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from study import records
from study.deployment import card
from study.deployment.predict import MANIFEST
from study.experiment import Distillation
from study.files import read_json
from study.kinds import Export, Quantization
from study.records import Outcome, Plan, Run
from study.running.options import Options
from tests.study.kinds.workshop import Workshop, network


@pytest.mark.parametrize(("deployed", "accuracy"), [("int8", 0.8), ("float32", 0.9)])
def test_the_most_accurate_candidate_on_validation_is_shipped_with_its_network(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, deployed: str, accuracy: float
) -> None:
    workshop.answers("first", 1)
    student = replace(network("student"), distillation=Distillation(("level5/first",)))
    for source in (student, network("plain")):
        workshop.record(source, Outcome({"validation_accuracy": 0.9}))
    for name, judged in (("student", 0.8), ("plain", 0.7)):
        quantized = Quantization(level=5, name=f"int8-{name}", source=f"level3/{name}", method="static")
        workshop.record(quantized, Outcome({"validation_accuracy": judged, "test_accuracy": 1 - judged}))
    plan = object()
    monkeypatch.setattr("study.kinds.export.read_plan", lambda folder: plan)
    written: list[tuple[Path, str, str, object, str]] = []

    def write_export(folder: Path, source: Run, int8: Run, plan: Plan, teacher: str) -> SimpleNamespace:
        written.append((folder, source.key, int8.key, plan, teacher))
        return SimpleNamespace(deployed=deployed)

    monkeypatch.setattr(card, "write_export", write_export)
    export = Export(level=5, name="export", candidates=("level5/int8-plain", "level5/int8-student"), built_on=())
    context = workshop.context(export)
    outcome = export.carry_out(context)
    assert written == [(context.folder, "level3/student", "level5/int8-student", plan, "level3/a")]
    assert outcome == Outcome({"exported": "level5/int8-student", "exported_accuracy": accuracy})


def test_the_studys_export_is_a_run_of_its_static_int8_models(tiny_study: Path, tiny_options: Options) -> None:
    run = records.load_run(tiny_study / "level5/export/seed-0")
    assert isinstance(run.experiment, Export)
    assert run.experiment.candidates == ("level5/int8-static", "level5/int8-static-compact")
    judged = {key: records.load_run(tiny_study / key / "seed-0") for key in run.experiment.candidates}
    exported = judged[run.metrics["exported"]]
    assert exported.metrics["validation_accuracy"] == max(r.metrics["validation_accuracy"] for r in judged.values())
    manifest = read_json(run.folder / MANIFEST)
    deployed = records.load_run(tiny_study / manifest["models"][manifest["deployed"]]["run"])
    assert run.metrics["exported_accuracy"] == deployed.metrics["validation_accuracy"]
    assert {"export.json", "README.md", "model-fp32.onnx", "model-int8.onnx"} <= set(run.files)
