"""What is shipped: the best static int8 model with what `invoke predict` must know and a model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.records import Outcome, read_plan


@dataclass(frozen=True, kw_only=True)
class Export(Kind):
    """Of the quantised candidates the one that is most accurate on validation, beside its network in float32.

    The run's folder holds both as ONNX files, export.json and a model card, README.md. ``built_on`` are the candidates'
    networks and the answers of these networks' teachers.
    """

    names_classes: ClassVar[bool] = True

    candidates: tuple[str, ...] = reads()
    built_on: tuple[str, ...] = reads()

    def carry_out(self, context: Context) -> Outcome:
        from study.deployment.card import write_export

        best = max(map(context.run, self.candidates), key=lambda run: run.metrics["validation_accuracy"])
        source = context.run(*best.experiment.needs)
        teachers = [context.run(key).metrics["teacher"] for key in source.experiment.needs]
        manifest = write_export(context.folder, source, best, read_plan(context.root), ", ".join(teachers))
        deployed = {"float32": source, "int8": best}[manifest.deployed]
        return Outcome({"exported": best.key, "exported_accuracy": deployed.metrics["validation_accuracy"]})

    def cost(self, scale: Scale) -> float:
        return 1.0
