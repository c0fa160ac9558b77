"""Which uncertainty tells images of none of the classes from the study's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.calibration import probabilities
from analysis.statistics.uncertainty import entropy
from analysis.view import Planned, StudyView
from study.records import OUTLIERS


@dataclass(frozen=True)
class Outliers:
    """A second dataset: its name, its number of images K, and uncertainties (S, K) of the seeds by name.

    ``skipped`` says why there are none.
    """

    title: str
    images: int
    scores: dict[str, np.ndarray]
    skipped: str = ""


def outliers_of(view: StudyView, model: str, temperatures: Mapping[int, float]) -> Outliers | None:
    """Scores of all uncertainties that were recorded on the second dataset; None before its run.

    ``temperatures`` are the model's by seed.
    """
    planned = next(iter(view.of_kind("OutOfDistribution")), None)
    if planned is None:
        return None
    metrics = view.runs_of(planned.key)[0].metrics
    if "skipped" in metrics:
        return Outliers("", 0, {}, metrics["skipped"])
    logits = _logits_by_source(view, planned)
    fitted = [temperatures[seed] for seed in view.seeds_of(planned.key)]
    scores = _of_model(logits[model], fitted) if model in logits else {}
    scores |= _of_samples(view, "OutOfDistribution", "ensemble") | _of_samples(view, "McDropout", "mc-dropout")
    return Outliers(metrics["title"], metrics["images"], scores)


def separation_auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """AUROC of telling outliers from the study's images by an uncertainty, each of any shape.

    0.5 is chance, 1 separates them fully. Hendrycks & Gimpel 2017, https://arxiv.org/abs/1610.02136
    """
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([0, 1], [inside.size, outside.size])
    return float(roc_auc_score(truth, np.concatenate([inside.ravel(), outside.ravel()])))


def _logits_by_source(view: StudyView, planned: Planned) -> dict[str, np.ndarray]:
    """Logits (S, K, C) by source."""
    recorded = np.stack([run.arrays[f"{OUTLIERS}_logits"] for run in view.runs_of(planned.key)], axis=1)
    return dict(zip(planned.spec["sources"], recorded, strict=True))


def _of_model(logits: np.ndarray, temperatures: Sequence[float]) -> dict[str, np.ndarray]:
    scaled = [probabilities(one, t) for one, t in zip(logits, temperatures, strict=True)]
    return {"entropy": entropy(probabilities(logits)), "temperature-entropy": entropy(np.stack(scaled))}


def _of_samples(view: StudyView, kind: str, prefix: str) -> dict[str, np.ndarray]:
    """What runs of a kind recorded of their samples on the outliers."""
    runs = [run for planned in view.of_kind(kind) for run in view.runs_of(planned.key)]
    recorded = [run for run in runs if f"{OUTLIERS}_entropy" in run.arrays]
    if not recorded:
        return {}
    arrays = {"entropy": "entropy", "mutual-information": "mutual_information"}
    return {
        f"{prefix}-{name}": np.stack([run.arrays[f"{OUTLIERS}_{array}"] for run in recorded])
        for name, array in arrays.items()
    }
