"""Confidence of the study's models: calibration, and which uncertainty finds errors and out-of-distribution images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.statistics import influence
from analysis.statistics.crossed import Estimate, estimate_of
from analysis.view import Kind, StudyView
from study.experiment import Experiment, run_name
from study.kinds import McDropout, OutOfDistribution, Vote
from study.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
)
from study.metrics.intervals import Interval
from study.metrics.uncertainty import aurc, entropy, risk_coverage
from study.records import OOD, SPLITS, Run

# What is recorded of samples, dropout passes or an ensemble's members, with its title.
OF_SAMPLES = {"entropy": "Entropy", "mutual_information": "Mutual information"}
# The kinds whose runs may have sampled, with the prefix of their uncertainties and whose these are.
SAMPLING: dict[type[Experiment], tuple[str, str]] = {
    McDropout: ("mc-dropout", "under MC dropout"),
    Vote: ("ensemble", "of the ensemble"),
}


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

    @property
    def by_seed(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Scores (N,) of each seed and whether its predictions are right (N,)."""
        return list(zip(self.scores, self.correct, strict=True))

    @cached_property
    def aurc(self) -> float:
        """Area under the risk-coverage curve, the mean over seeds."""
        return float(np.mean([aurc(*seed) for seed in self.by_seed]))

    @cached_property
    def risk(self) -> np.ndarray:
        """Error rate among the k images with the lowest uncertainty, (N,) for k = 1 to N, the mean over seeds."""
        return np.mean([risk_coverage(*seed)[1] for seed in self.by_seed], axis=0)

    def risk_at(self, coverage: float) -> float:
        """Error rate when this fraction of the images is answered, the least uncertain ones."""
        return float(self.risk[math.ceil(coverage * len(self.risk)) - 1])

    @cached_property
    def ece(self) -> float:
        """Calibration error, the mean over seeds: pooled, one too sure would hide another that is too modest."""
        return float(np.mean([expected_calibration_error(probs, self.labels) for probs in self.probs]))

    @cached_property
    def losses(self) -> np.ndarray:
        """Negative log-likelihood of each image in nats, (S, N)."""
        return negative_log_likelihood(self.probs, self.labels)

    @cached_property
    def squared_errors(self) -> np.ndarray:
        """Squared distance of an image's probabilities to its one-hot label, (S, N), whose mean is the Brier score."""
        return ((self.probs - np.eye(self.probs.shape[2])[self.labels]) ** 2).sum(axis=2)

    @cached_property
    def to_aurc(self) -> np.ndarray:
        """Each image's contribution to the AURC of its seed, (S, N)."""
        return np.stack([influence.of_aurc(*seed) for seed in self.by_seed])

    @property
    def aurc_estimate(self) -> Estimate:
        """AURC over these networks and all images."""
        return estimate_of(self.to_aurc)

    @property
    def ece_interval(self) -> Interval:
        """Of the ECE that more and more images would show."""
        return ece_interval(self.probs, self.labels)

    @property
    def pooled_probs(self) -> np.ndarray:
        """Probabilities of all seeds, (S·N, C)."""
        return self.probs.reshape(-1, self.probs.shape[2])

    @property
    def pooled_labels(self) -> np.ndarray:
        """Labels to go with ``pooled_probs``, (S·N,)."""
        return np.tile(self.labels, len(self.probs))


@dataclass(frozen=True)
class OodScores:
    """A second dataset: its name, its number of images K, and by name the uncertainties (K,) of each seed.

    ``skipped`` says why there are none.
    """

    title: str
    images: int
    scores: dict[str, dict[int, np.ndarray]]
    skipped: str = ""


@dataclass(frozen=True)
class Trust:
    """Uncertainties on the test images, the model's own first; ``model`` is whose confidence it is.

    ``vote`` is the ensemble whose uncertainty it is compared with, "" for none.

    ``log_temperature`` is the logarithm of the temperatures fitted on validation, the mean over seeds. ``chosen`` names
    the uncertainty with the lowest AURC on validation, which unlike AUROC counts the errors that a better model does
    not make (Ashukha et al. 2020, https://arxiv.org/abs/2002.06470); ``gain`` is how far its test AURC lies below that
    of the model's entropy, ``nll_gain`` the drop in negative log-likelihood (nats per image) by temperature scaling;
    ``ood`` is of the out-of-distribution images. All are of the ``seeds`` that all ``sources`` share, over those
    networks and all images; ``validation_images`` are those of one seed, ``validation_errors``
    those of the seed with the fewest.
    """

    model: str
    vote: str
    sources: tuple[str, ...]
    seeds: tuple[int, ...]
    validation_images: int
    validation_errors: int
    log_temperature: Estimate
    uncertainties: dict[str, Uncertainty]
    chosen: str
    gain: Estimate | None
    nll_gain: Estimate
    ood: OodScores | None

    @property
    def temperature(self) -> float:
        """The geometric mean over seeds."""
        return math.exp(self.log_temperature.value)

    def runs(self, *keys: str) -> tuple[str, ...]:
        """Names of the runs that it rests on, of these sources or of all."""
        return tuple(run_name(key, seed) for key in keys or self.sources for seed in self.seeds)

    def to_ood(self, name: str) -> np.ndarray | None:
        """Each image's contribution to the AUROC of telling OOD from test images, (S, N + K); None if not recorded.

        The seeds are those whose uncertainties were all recorded.
        """
        if self.ood is None or name not in self.ood.scores:
            return None
        inside = dict(zip(self.seeds, self.uncertainties[name].scores, strict=True))
        shared = sorted(set(inside).intersection(*self.ood.scores.values()))
        outside = self.ood.scores[name]
        is_ood = np.repeat([False, True], [len(self.before.labels), self.ood.images])
        found = [influence.of_auroc(np.concatenate([inside[s], outside[s]]), is_ood) for s in shared]
        return np.stack(found) if found else None

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
    dropout, vote = sampled(view, McDropout), sampled(view, Vote)
    trained = [experiment.key for experiment in view.trained]
    source = dropout.source if dropout else None
    model = source if source in trained else view.best(trained)
    if model is None:
        return None
    sources = (model, *(experiment.key for experiment in (dropout, vote) if experiment))
    shared = view.restricted_to(view.seeds_of(*sources))
    if not shared.predictions(model):
        return None
    validation = shared.predictions(model, "validation")
    temperatures = [fit_temperature(p.logits, p.labels) for p in validation]
    by_split = {split: _uncertainties(shared, model, temperatures, split) for split in SPLITS}
    chosen = min(by_split["validation"].values(), key=lambda u: u.aurc).name
    test = by_split["test"]
    gain = None if chosen == "entropy" else estimate_of(test["entropy"].to_aurc - test[chosen].to_aurc)
    return Trust(
        model,
        vote.key if vote else "",
        sources,
        tuple(shared.seeds_of(model)),
        len(validation[0].labels),
        min(int((~p.correct).sum()) for p in validation),
        estimate_of(np.stack([influence.of_log_temperature(p.logits, p.labels) for p in validation])),
        test,
        chosen,
        gain,
        estimate_of(test["entropy"].losses - test["temperature-entropy"].losses),
        ood_of(shared, model, dict(zip(shared.seeds_of(model), temperatures, strict=True))),
    )


def ece_interval(probs: np.ndarray, labels: np.ndarray) -> Interval:
    """95 % interval of the ECE of networks' probs (S, N, C) and labels (N,) or (S, N), in [0, 1].

    Chance makes the ECE of few images too large, so the lower end is further off by what it explains.
    """
    by_network = list(zip(probs, np.broadcast_to(labels, probs.shape[:2]), strict=True))
    found = estimate_of(np.stack([influence.of_ece(*each) for each in by_network])).interval()
    excess = float(np.mean([influence.excess_of_ece(*each) for each in by_network]))
    return Interval(*np.clip((found.low - excess, found.high), 0, 1).tolist())


def sampled(view: StudyView, kind: type[Kind]) -> Kind | None:
    """The first experiment of a kind whose runs recorded the uncertainty of samples."""
    return next((e for e in view.of_kind(kind) if "test_entropy" in view.runs_of(e.key)[0].arrays), None)


def _uncertainties(view: StudyView, model: str, temperatures: Sequence[float], split: str) -> dict[str, Uncertainty]:
    """The model's own, then those that runs recorded of their samples."""
    predictions = view.predictions(model, split)
    raw = np.stack([probabilities(p.logits) for p in predictions])
    scaled = np.stack([probabilities(p.logits, t) for p, t in zip(predictions, temperatures, strict=True)])
    labels = predictions[0].labels
    found = [
        Uncertainty("entropy", "Entropy of the single model", entropy(raw), raw, labels),
        Uncertainty("temperature-entropy", "Entropy after temperature scaling", entropy(scaled), scaled, labels),
    ]
    for kind, (prefix, whose) in SAMPLING.items():
        if experiment := sampled(view, kind):
            predictions = view.predictions(experiment.key, split)
            probs, labels = np.stack([probabilities(p.logits) for p in predictions]), predictions[0].labels
            scores = _recorded(view.runs_of(experiment.key), split, prefix)
            for (name, values), title in zip(scores.items(), OF_SAMPLES.values(), strict=True):
                found.append(Uncertainty(name, f"{title} {whose}", values, probs, labels))
    return {uncertainty.name: uncertainty for uncertainty in found}


def _recorded(runs: Sequence[Run], split: str, prefix: str) -> dict[str, np.ndarray]:
    """Uncertainties (S, N) that runs recorded of samples, by name."""
    return {
        f"{prefix}-{array.replace('_', '-')}": np.stack([run.arrays[f"{split}_{array}"] for run in runs])
        for array in OF_SAMPLES
    }


def ood_of(view: StudyView, model: str, temperatures: Mapping[int, float]) -> OodScores | None:
    """Scores of all uncertainties that were recorded on the second dataset; None before its run.

    ``temperatures`` are the model's by seed.
    """
    experiment = next(iter(view.of_kind(OutOfDistribution)), None)
    if experiment is None:
        return None
    runs = view.runs_of(experiment.key)
    metrics = runs[0].metrics
    if "skipped" in metrics:
        return OodScores("", 0, {}, metrics["skipped"])
    scores: dict[str, dict[int, np.ndarray]] = {}
    if model in experiment.sources:
        logits = {run.seed: run.arrays[f"{OOD}_logits"][experiment.sources.index(model)] for run in runs}
        scaled = {seed: probabilities(each, temperatures[seed]) for seed, each in logits.items()}
        scores["entropy"] = {seed: entropy(probabilities(each)) for seed, each in logits.items()}
        scores["temperature-entropy"] = {seed: entropy(each) for seed, each in scaled.items()}
    for kind, prefix in ((OutOfDistribution, "ensemble"), (McDropout, "mc-dropout")):
        sampling = [run for each in view.of_kind(kind) for run in view.runs_of(each.key)]
        sampling = [run for run in sampling if f"{OOD}_entropy" in run.arrays]
        for name, values in (_recorded(sampling, OOD, prefix) if sampling else {}).items():
            scores[name] = dict(zip((run.seed for run in sampling), values, strict=True))
    return OodScores(metrics["title"], metrics["images"], scores)
