"""Confidence of the study's models: calibration, and which uncertainty finds the errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.statistics.calibration import CalibrationScores, calibration_scores, fit_temperature, probabilities
from analysis.statistics.comparison import BootstrapResult, bootstrap_difference
from analysis.statistics.ood import Outliers, outliers_of, separation_auroc
from analysis.statistics.uncertainty import aurc, entropy, error_auroc, risk_coverage
from analysis.view import Planned, StudyView
from study.records import SPLITS


@dataclass(frozen=True)
class Uncertainty:
    """One uncertainty on one split, the seeds (S) side by side.

    ``scores`` (S, N) is high where the model is unsure, ``probs`` (S, N, C) its probabilities,
    ``labels`` (N,). ``name`` identifies it in facts, ``title`` in print.
    """

    name: str
    title: str
    scores: np.ndarray
    probs: np.ndarray
    labels: np.ndarray

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each prediction is right, (S, N)."""
        return self.probs.argmax(axis=2) == self.labels

    @cached_property
    def auroc(self) -> float:
        """Error detection, the mean over seeds: scores of two networks need not have one scale."""
        return float(np.mean([error_auroc(s, c) for s, c in zip(self.scores, self.correct, strict=True)]))

    @cached_property
    def aurc(self) -> float:
        """Area under the risk-coverage curve, the mean over seeds."""
        return float(np.mean([aurc(s, c) for s, c in zip(self.scores, self.correct, strict=True)]))

    @cached_property
    def risk(self) -> np.ndarray:
        """Error rate among the k images with the lowest uncertainty, (N,) for k = 1 to N, the mean over seeds."""
        curves = [risk_coverage(s, c)["risk"] for s, c in zip(self.scores, self.correct, strict=True)]
        return np.mean(curves, axis=0)

    def risk_at(self, coverage: float) -> float:
        """Error rate when this fraction of the images is answered, the least uncertain ones."""
        return float(self.risk[math.ceil(coverage * len(self.risk)) - 1])

    @cached_property
    def calibration(self) -> CalibrationScores:
        """Calibration over all seeds' predictions."""
        return calibration_scores(self.pooled_probs, self.pooled_labels)

    @property
    def pooled_probs(self) -> np.ndarray:
        """Probabilities of all seeds, (S·N, C)."""
        return self.probs.reshape(-1, self.probs.shape[2])

    @property
    def pooled_labels(self) -> np.ndarray:
        """Labels to go with ``pooled_probs``, (S·N,)."""
        return np.tile(self.labels, len(self.probs))


@dataclass(frozen=True)
class Trust:
    """Uncertainties on the test images, the model's own first; ``model`` is whose confidence it is.

    ``vote`` is the ensemble whose uncertainty it is compared with, "" for none.

    ``temperature`` is the mean over seeds. ``chosen`` names the uncertainty with the lowest AURC on
    validation, which unlike AUROC counts the errors that a better model does not make (Ashukha et al.
    2020, https://arxiv.org/abs/2002.06470); ``gain`` is how far its test AURC lies below that of the
    model's entropy, ``nll_gain`` the drop in negative log-likelihood by temperature scaling, each with its
    bootstrap; ``outliers`` are images of a second dataset. All are of the seeds that all ``sources`` share.
    """

    model: str
    vote: str
    sources: tuple[str, ...]
    temperature: float
    uncertainties: dict[str, Uncertainty]
    chosen: str
    gain: BootstrapResult | None
    nll_gain: BootstrapResult
    outliers: Outliers | None

    def outlier_auroc(self, name: str) -> float:
        """How well an uncertainty tells the outliers from the test images; NaN when it was not recorded for them."""
        outside = self.outliers.scores.get(name) if self.outliers else None
        return float("nan") if outside is None else separation_auroc(self.uncertainties[name].scores, outside)

    @property
    def before(self) -> Uncertainty:
        """The model as trained."""
        return self.uncertainties["entropy"]

    @property
    def after(self) -> Uncertainty:
        """The model after temperature scaling."""
        return self.uncertainties["temperature-entropy"]


def trust_of(view: StudyView) -> Trust | None:
    """Confidence of the network that MC dropout was run on, else of the best network; None without runs."""
    dropout, vote = sampled(view, "McDropout"), sampled(view, "Vote")
    trained = [planned.key for planned in view.of_kind("Training", "Search")]
    source = str(dropout.spec["source"]) if dropout else None
    model = source if source in trained else view.best(trained)
    if model is None:
        return None
    sources = (model, *(planned.key for planned in (dropout, vote) if planned))
    shared = view.restricted_to(view.seeds_of(*sources))
    if not shared.predictions(model):
        return None
    temperatures = [fit_temperature(p.logits, p.labels) for p in shared.predictions(model, "validation")]
    by_split = {split: _uncertainties(shared, model, temperatures, split) for split in SPLITS}
    chosen = min(by_split["validation"].values(), key=lambda u: u.aurc).name
    test = by_split["test"]
    rng = np.random.default_rng(0)
    return Trust(
        model,
        vote.key if vote else "",
        sources,
        float(np.mean(temperatures)),
        test,
        chosen,
        None if chosen == "entropy" else aurc_gain(test[chosen], test["entropy"], rng),
        _nll_gain(test, rng),
        outliers_of(shared, model, dict(zip(shared.seeds_of(model), temperatures, strict=True))),
    )


def sampled(view: StudyView, kind: str) -> Planned | None:
    """The first experiment of a kind whose runs recorded the uncertainty of samples."""
    return next((p for p in view.of_kind(kind) if "test_entropy" in view.runs_of(p.key)[0].arrays), None)


def _uncertainties(view: StudyView, model: str, temperatures: Sequence[float], split: str) -> dict[str, Uncertainty]:
    predictions = view.predictions(model, split)
    raw = np.stack([probabilities(p.logits) for p in predictions])
    scaled = np.stack([probabilities(p.logits, t) for p, t in zip(predictions, temperatures, strict=True)])
    labels = predictions[0].labels
    found = [
        Uncertainty("entropy", "Entropy of the single model", entropy(raw), raw, labels),
        Uncertainty("temperature-entropy", "Entropy after temperature scaling", entropy(scaled), scaled, labels),
        *_of_samples(view, "McDropout", "mc-dropout", "under MC dropout", split),
        *_of_samples(view, "Vote", "ensemble", "of the ensemble", split),
    ]
    return {uncertainty.name: uncertainty for uncertainty in found}


def _of_samples(view: StudyView, kind: str, prefix: str, whose: str, split: str) -> list[Uncertainty]:
    """The uncertainties that runs of a kind recorded of their samples: dropout passes or ensemble members."""
    planned = sampled(view, kind)
    if planned is None:
        return []
    runs = view.runs_of(planned.key)
    predictions = [run.predictions(split) for run in runs]
    probs = np.stack([probabilities(p.logits) for p in predictions])
    return [
        Uncertainty(
            f"{prefix}-{array.replace('_', '-')}",
            f"{title} {whose}",
            np.stack([run.arrays[f"{split}_{array}"] for run in runs]),
            probs,
            predictions[0].labels,
        )
        for array, title in {"entropy": "Entropy", "mutual_information": "Mutual information"}.items()
    ]


def aurc_gain(
    treated: Uncertainty, control: Uncertainty, rng: np.random.Generator, resamples: int = 2000
) -> BootstrapResult:
    """Bootstrap over test images of AURC(control) - AURC(treated), seeds fixed.

    Both are drawn with the same images. Efron & Tibshirani 1993, section 13,
    https://doi.org/10.1201/9780429246593
    """
    images = len(treated.labels)
    weights = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    gain = _resampled_aurc(control, weights) - _resampled_aurc(treated, weights)
    low, high = np.quantile(gain, [0.025, 0.975])
    p = min(1.0, 2 * (1 + min((gain <= 0).sum(), (gain >= 0).sum())) / (1 + resamples))
    return BootstrapResult(float(low), float(high), float(p), float(gain.std(ddof=1)))


def _resampled_aurc(uncertainty: Uncertainty, weights: np.ndarray) -> np.ndarray:
    """AURC per resample, (R,), the mean over seeds; weights (R, N) count each image's draws."""
    seeds = list(zip(uncertainty.scores, uncertainty.correct, strict=True))
    return np.mean([_aurc_of_draws(scores, correct, weights) for scores, correct in seeds], axis=0)


def _aurc_of_draws(scores: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AURC (R,) of scores (N,) whose images are drawn as often as each row of the weights (R, N) says.

    A cumulative error rate in order of the scores, weighted by the draws; with every image drawn once and
    no two scores equal it is ``analysis.statistics.uncertainty.aurc``.
    """
    order = np.argsort(scores, kind="stable")
    wrong, result = ~correct[order], np.empty(len(weights))
    for row, draws in enumerate(weights):
        drawn = draws[order]
        risk = (drawn * wrong).cumsum() / np.maximum(drawn.cumsum(), 1)
        result[row] = (drawn * risk).sum() / drawn.sum()
    return result


def _nll_gain(test: dict[str, Uncertainty], rng: np.random.Generator) -> BootstrapResult:
    """Drop in negative log-likelihood (nats per image) from raw to temperature-scaled confidence."""
    before, after = (_log_loss(test[name]) for name in ("entropy", "temperature-entropy"))
    return bootstrap_difference(before - after, rng)


def _log_loss(uncertainty: Uncertainty) -> np.ndarray:
    """Per seed and image, (S, N), in nats."""
    chosen = np.take_along_axis(uncertainty.probs, uncertainty.labels[None, :, None], axis=2)[..., 0]
    return -np.log(np.maximum(chosen, np.finfo(float).tiny))
