"""Facts of single sections: confusion, search, ensemble, trust, labels, deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analysis import formats
from analysis.evidence import Fact
from analysis.fact_makers import (
    count_fact,
    milliseconds_fact,
    number_fact,
    percent_fact,
    points_fact,
    text_fact,
)
from analysis.results import Results
from analysis.statistics.labels import LabelAudit, audited_errors, human_agreement
from analysis.statistics.per_class import confused_pairs, confusion, scores
from analysis.statistics.trust import Uncertainty
from analysis.view import Planned, StudyView
from study.errors import StudyError
from study.records import Predictions

CIFAR_TRAINING_IMAGES = 50_000
AUDIT, PEOPLE = "cifar10-label-audit.json", "cifar10h-counts.npy"
SELECTIVE_COVERAGE = 0.9


def class_facts(results: Results) -> Iterator[Fact]:
    """Where the selected level 3 model errs."""
    key = results.best.get(3)
    if key is None:
        return
    view, runs = results.view, results.view.names(key)
    predictions = view.predictions(key)
    pairs = confused_pairs(confusion(predictions, view.classes), view.classes, top=1)
    for true, predicted, number in pairs:
        source = "analysis.statistics.per_class.confused_pairs"
        yield text_fact("confused/true", true, source, runs)
        yield text_fact("confused/predicted", predicted, source, runs)
        yield count_fact("confused/count", number, source, runs)
    table = scores(predictions, view.classes)
    for name, row in (("worst", table["recall"].idxmin()), ("best", table["recall"].idxmax())):
        yield text_fact(f"{name}-class/name", table["class"][row], "analysis.statistics.per_class.scores", runs)
        yield percent_fact(f"{name}-class/recall", table["recall"][row], "analysis.statistics.per_class.scores", runs)


def ensemble_facts(results: Results) -> Iterator[Fact]:
    """What voting gains, mends and breaks."""
    ensemble, view = results.ensemble, results.view
    if ensemble is None:
        return
    runs, voted = view.names(*ensemble.members), view.names(*ensemble.members, ensemble.best_vote)
    yield count_fact("ensemble/members", len(ensemble.members), "analysis.statistics.ensemble.ensemble_of", runs)
    yield text_fact(
        "ensemble/best-vote", view.title(ensemble.best_vote), "analysis.statistics.ensemble.ensemble_of", voted
    )
    yield text_fact(
        "ensemble/best-member", view.title(ensemble.best_member), "analysis.statistics.ensemble.ensemble_of", runs
    )
    yield count_fact("ensemble/fixed", ensemble.fixed, "analysis.statistics.diversity.fixed_and_broken", voted)
    yield count_fact("ensemble/broken", ensemble.broken, "analysis.statistics.diversity.fixed_and_broken", voted)
    yield percent_fact("oracle/accuracy", ensemble.oracle, "analysis.statistics.diversity.oracle_accuracy", runs)
    judged = results.judged.get(ensemble.best_vote)
    if judged:
        yield points_fact(
            "ensemble/gain", judged.comparison.difference, "analysis.statistics.comparison.compare", voted
        )


def trust_facts(results: Results) -> Iterator[Fact]:
    """Calibration before and after temperature scaling, and how well each uncertainty finds errors."""
    trust = results.trust
    if trust is None:
        return
    view = results.view
    model, runs = view.names(trust.model), view.names(*trust.sources)
    before, after = trust.before.calibration, trust.after.calibration
    yield text_fact("calibration/model", view.title(trust.model), "analysis.statistics.trust.trust_of", model)
    source = "analysis.statistics.calibration.expected_calibration_error"
    yield percent_fact("calibration/ece-before", before.ece, source, model)
    yield percent_fact("calibration/ece-after", after.ece, source, model)
    source = "analysis.statistics.calibration.negative_log_likelihood"
    yield number_fact("calibration/nll-before", before.nll, source, model)
    yield number_fact("calibration/nll-after", after.nll, source, model)
    yield number_fact(
        "calibration/temperature", trust.temperature, "analysis.statistics.calibration.fit_temperature", model, 2
    )
    for name, uncertainty in trust.uncertainties.items():
        yield number_fact(
            f"uncertainty/auroc-{name}", uncertainty.auroc, "analysis.statistics.uncertainty.error_auroc", runs
        )
        yield number_fact(f"uncertainty/aurc-{name}", uncertainty.aurc, "analysis.statistics.uncertainty.aurc", runs, 4)
    if trust.vote:
        yield text_fact(
            "uncertainty/vote", view.title(trust.vote), "analysis.statistics.trust.sampled", view.names(trust.vote)
        )
    chosen = trust.uncertainties[trust.chosen]
    yield text_fact("uncertainty/best", chosen.title, "analysis.statistics.trust.trust_of", runs)
    yield number_fact("uncertainty/best-auroc", chosen.auroc, "analysis.statistics.uncertainty.error_auroc", runs)
    yield from _selective_facts(chosen, runs)
    yield from _outlier_facts(results)


def _outlier_facts(results: Results) -> Iterator[Fact]:
    """How well each uncertainty tells a second dataset's images from the test images."""
    trust, view = results.trust, results.view
    if trust is None or trust.outliers is None:
        return
    keys = [planned.key for planned in view.of_kind("OutOfDistribution")]
    runs, source = view.names(*keys), "analysis.statistics.ood.outliers_of"
    if trust.outliers.skipped:
        yield text_fact("outliers/skipped", trust.outliers.skipped, source, runs)
        return
    yield text_fact("outliers/title", trust.outliers.title, source, runs)
    yield count_fact("outliers/images", trust.outliers.images, source, runs)
    for name in trust.outliers.scores:
        used = view.names(*keys, *trust.sources)
        yield number_fact(
            f"outliers/auroc-{name}", trust.outlier_auroc(name), "analysis.statistics.ood.separation_auroc", used
        )


def _selective_facts(chosen: Uncertainty, runs: tuple[str, ...]) -> Iterator[Fact]:
    """Error rate with every image answered, and with the least certain tenth refused."""
    source = "analysis.statistics.uncertainty.risk_coverage"
    yield percent_fact("selective/coverage", SELECTIVE_COVERAGE, source, runs)
    yield percent_fact("selective/risk", chosen.risk_at(SELECTIVE_COVERAGE), source, runs)
    yield percent_fact("selective/risk-of-all", chosen.risk_at(1), source, runs)


def label_facts(results: Results) -> Iterator[Fact]:
    """Errors beside audited labels and human answers, where those optional files lie with the data."""
    view, data = results.view, results.view.plan["dataset"]
    key = results.ensemble.best_vote if results.ensemble else view.best(view.experiments)
    if data["name"] != "cifar10" or not data["folder"] or key is None:
        return
    predictions, runs, folder = view.predictions(key)[0], view.names(key)[:1], Path(data["folder"])
    yield text_fact("labels/model", view.title(key), "analysis.section_facts.label_facts", runs)
    if (folder / AUDIT).is_file():
        yield from _audit_facts(audit_of(folder / AUDIT, predictions), runs)
    if (folder / PEOPLE).is_file():
        yield from _people_facts(folder / PEOPLE, predictions, runs)


def audit_of(audit: Path, predictions: Predictions) -> LabelAudit:
    """The label audit for predictions whose indices count CIFAR-10's training images first."""
    tested = predictions.indices - CIFAR_TRAINING_IMAGES
    return audited_errors(audit, tested[~predictions.correct], tested)


def _audit_facts(audit: LabelAudit, runs: tuple[str, ...]) -> Iterator[Fact]:
    source = "analysis.statistics.labels.audited_errors"
    yield count_fact("labels/wrong", audit.wrong, source, runs)
    yield count_fact("labels/suspected", audit.suspected, source, runs)
    yield count_fact("labels/faulty", audit.faulty, source, runs)
    yield count_fact("labels/wrong-suspected", audit.wrong_suspected, source, runs)
    yield count_fact("labels/wrong-faulty", audit.wrong_faulty, source, runs)


def _people_facts(people: Path, predictions: Predictions, runs: tuple[str, ...]) -> Iterator[Fact]:
    from analysis.statistics.calibration import probabilities

    try:
        counts = np.load(people, allow_pickle=False)[predictions.indices - CIFAR_TRAINING_IMAGES]
    except (ValueError, EOFError, IndexError) as error:
        raise StudyError(f"{people} is damaged or of another test set; replace or remove it") from error
    agreement, source = (
        human_agreement(counts, probabilities(predictions.logits)),
        "analysis.statistics.labels.human_agreement",
    )
    yield percent_fact("people/same-choice", agreement.same_choice, source, runs)
    yield number_fact("people/entropy-correlation", agreement.entropy_correlation, source, runs)
    yield number_fact("people/cross-entropy", agreement.cross_entropy, source, runs)
    yield number_fact("people/human-entropy", agreement.human_entropy, source, runs)


def deployment_facts(results: Results) -> Iterator[Fact]:
    """What int8 costs and saves, and how fast every timed model answers."""
    view = results.view
    for planned in view.of_kind("Quantization"):
        yield from _quantization_facts(results, planned)
    frame, timed = results.deployment, view.names(*(planned.key for planned in view.of_kind("Latency")))
    source = "analysis.statistics.deployed.deployment_frame"
    for row in frame.itertuples():
        name = f"latency/{row.model}/{row.precision}"
        yield milliseconds_fact(f"{name}/p50", row.p50_ms, source, timed)
        yield milliseconds_fact(f"{name}/p95", row.p95_ms, source, timed)
        yield Fact(
            f"size/{row.model}/{row.precision}",
            row.bytes / 1e6,
            "megabytes",
            f"{formats.megabytes(row.bytes)} MB",
            source,
            timed,
        )
    for speed in int8_speeds(results):
        yield number_fact(f"latency/{speed.key}/speedup", speed.full / speed.int8, source, timed, 2)


def _quantization_facts(results: Results, planned: Planned) -> Iterator[Fact]:
    view, key = results.view, planned.key
    runs, judged = view.names(key, planned.spec["source"]), results.judged.get(key)
    if judged:
        change = judged.comparison.difference
        yield points_fact(f"int8/{key}/accuracy-change", change, "analysis.statistics.comparison.compare", runs)
    ratio = view.metric(key, "fp32_bytes") / view.metric(key, "int8_bytes")
    yield number_fact(f"int8/{key}/size-ratio", ratio, "analysis.section_facts.deployment_facts", runs, 1)
    agreement = view.metric(key, "agreement")
    yield percent_fact(f"int8/{key}/agreement", agreement, "study.records.Run.metrics", view.names(key))


class Speed(NamedTuple):
    """Median latencies (ms, batch 1, one thread) of a network in float32 and in its int8 form ``key``."""

    key: str
    full: float
    int8: float


def int8_speeds(results: Results) -> list[Speed]:
    """Every int8 model that was timed beside its own float32 form, in the order they were timed."""
    frame, speeds = results.deployment, []
    for row in frame[frame["precision"] == "int8"].itertuples():
        source = source_of(results.view, row.evaluated)
        full = frame[(frame["model"].isin([source, row.model])) & (frame["precision"] == "float32")]
        if not full.empty:
            speeds.append(Speed(str(row.evaluated), float(full["p50_ms"].iloc[0]), float(row.p50_ms)))
    return speeds


def source_of(view: StudyView, key: str) -> str:
    """The experiment whose network a quantised model came from; itself for any other."""
    return str(view.experiments[key].spec.get("source", key)) if key in view.experiments else key


def search_facts(results: Results) -> Iterator[Fact]:
    """How many trials each search made, and what it settled on."""
    view = results.view
    for planned in view.of_kind("Search"):
        runs = view.runs_of(planned.key)[:1]
        trials, names = view.trials(planned.key), tuple(run.name for run in runs)
        best = next(trial for trial in trials if trial["number"] == runs[0].metrics["best_trial"])
        source = "analysis.section_facts.search_facts"
        yield count_fact(f"search/{planned.key}/trials", len(trials), source, names)
        pruned = sum(trial["state"] == "PRUNED" for trial in trials)
        yield count_fact(f"search/{planned.key}/pruned", pruned, source, names)
        for parameter, value in best["params"].items():
            name = f"search/{planned.key}/{parameter.replace('_', '-')}"
            yield Fact(name, value, "number", f"{value:.2g}", source, names)
