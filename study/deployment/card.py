"""Write an export: deployable models, what ``invoke predict`` must know, a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.deployment.int8 import FP32, INT8
from study.deployment.predict import MANIFEST, Manifest, Shipped
from study.files import sha256, write_bytes, write_json
from study.metrics.calibration import Abstention, choose_abstention, fit_temperature, probabilities
from study.metrics.intervals import wilson
from study.records import Plan, Predictions, Run

TEMPLATES = Path(__file__).parents[2] / "templates"
TEMPLATE = "model_card.md.jinja"
FILES = {"float32": FP32, "int8": INT8}
TOLERATED_LOSS = 0.01


@dataclass(frozen=True)
class Trusted:
    """A run with the temperature and the abstention threshold fitted to its validation logits."""

    run: Run
    temperature: float
    abstention: Abstention

    @property
    def test(self) -> Predictions:
        """What it predicted on the test images."""
        return self.run.predictions("test")


def write_export(folder: Path, source: Run, int8: Run, plan: Plan, teacher: str = "") -> Manifest:
    """Write both ONNX files, export.json and README.md into the folder; returns what export.json says.

    ``source`` is the trained run, by a ``teacher`` if any, ``int8`` the quantised one that holds both ONNX files.
    Recommended is the int8 model, unless it loses more than one point of validation accuracy. Temperatures and
    thresholds come from validation logits only. StudyError when the disk refuses.
    """
    models = {"float32": _trusted(source), "int8": _trusted(int8)}
    for file in FILES.values():
        write_bytes(folder / file, (int8.folder / file).read_bytes())
    manifest = _manifest(folder, models, plan)
    write_bytes(folder / "README.md", render(models, manifest, plan, teacher).encode())
    write_json(folder / MANIFEST, asdict(manifest))
    return manifest


def _trusted(run: Run) -> Trusted:
    validation = run.predictions("validation")
    temperature = fit_temperature(validation.logits, validation.labels)
    return Trusted(run, temperature, choose_abstention(_confidence(validation, temperature), validation.correct))


def _confidence(predictions: Predictions, temperature: float) -> np.ndarray:
    return probabilities(predictions.logits, temperature).max(axis=1)


def _manifest(folder: Path, models: dict[str, Trusted], plan: Plan) -> Manifest:
    dataset = plan.dataset
    accuracy = {precision: model.run.predictions("validation").accuracy for precision, model in models.items()}
    shipped = {}
    for precision, model in models.items():
        path = folder / FILES[precision]
        digest, size = sha256(path), path.stat().st_size
        shipped[precision] = Shipped(path.name, digest, size, model.run.name, model.temperature, model.abstention)
    return Manifest(
        study=plan.study,
        preset=plan.preset,
        dataset={name: getattr(dataset, name) for name in ("name", "title", "fingerprint", "notice")},
        classes=dataset.classes,
        image_size=dataset.image_size,
        deployed="float32" if round(accuracy["float32"] - accuracy["int8"], 9) > TOLERATED_LOSS else "int8",
        models=shipped,
    )


def render(models: dict[str, Trusted], manifest: Manifest, plan: Plan, teacher: str = "") -> str:
    """The model card as Markdown, after Mitchell et al. 2019, https://arxiv.org/abs/1810.03993."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # nosec B701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: escape(str(value)),  # for Markdown, where autoescape would be of HTML
    )
    source = models["float32"].run
    return environment.get_template(TEMPLATE).render(
        manifest=manifest,
        plan=plan,
        source=source,
        title=source.experiment.title,
        recipe=source.trained,
        teacher=teacher,
        sizes=plan.dataset.sizes,
        scores=[_scores(precision, model, manifest) for precision, model in models.items()],
        classes=_per_class(models[manifest.deployed].test, manifest.classes),
        abstention=manifest.models[manifest.deployed].abstention,
    )


def _scores(precision: str, model: Trusted, manifest: Manifest) -> dict[str, Any]:
    """One row of the card's first table; accuracies and risk are fractions."""
    test, shipped = model.test, manifest.models[precision]
    interval = wilson(int(test.correct.sum()), len(test.labels))
    answered = _confidence(test, model.temperature) >= model.abstention.threshold
    return {
        "precision": precision,
        "accuracy": test.accuracy,
        "low": interval.low,
        "high": interval.high,
        "megabytes": shipped.bytes / 1e6,
        "temperature": model.temperature,
        "coverage": float(answered.mean()),
        "risk": float((~test.correct[answered]).mean()) if answered.any() else 0.0,
    }


def _per_class(test: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        test.labels, test.predicted, labels=range(len(classes)), zero_division=0.0
    )
    names = ("precision", "recall", "f1", "support")
    return [{"name": name} | dict(zip(names, row, strict=True)) for name, *row in zip(classes, *columns, strict=True)]


def escape(text: str) -> str:
    """Text that Markdown shows as it is: specials as entities, line breaks as spaces."""
    flat = " ".join(text.split())
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]<>&#|~!" else c for c in flat)
