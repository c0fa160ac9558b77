"""Tables of single sections: ensemble, deployment, trust, environment, and the appendix of runs."""

from __future__ import annotations

import numpy as np

from analysis import formats
from analysis.captions import accuracy_interval, cells, join, one_seed, pooled, shared_sentence, takeaway
from analysis.evidence import Finding, Table
from analysis.facts import revision_of, threads_of
from analysis.results import Results
from analysis.statistics.calibration import BINS
from analysis.statistics.deployed import LATENCY_FILE
from analysis.statistics.trust import Uncertainty
from analysis.view import TRAINED
from study.records import PREDICTIONS, Run

Findings = dict[str, Finding]
SHORT_DIGEST = 12


def members(results: Results, findings: Findings) -> Table | None:
    """The ensemble's members and voting rules."""
    ensemble = results.ensemble
    if ensemble is None:
        return None
    voted = [("member", key) for key in ensemble.members] + [("vote", key) for key in ensemble.votes]
    rows = tuple(_member_row(results, role, key) for role, key in voted)
    caption = join(
        takeaway(findings, "ensemble/gain"),
        f"Members and votes; the weight is that in {results.view.title(ensemble.best_vote)}. This vote and the best "
        f"member, {results.view.title(ensemble.best_member)}, are chosen on validation; the difference is theirs.",
        accuracy_interval(results),
    )
    head = ("Model", "Role", "Weight", "Validation, %", "Test, %", "95 % CI", "Difference, points", "p")
    return Table("members", caption, head, rows, "llrrrlrr")


def _member_row(results: Results, role: str, key: str) -> tuple[str, ...]:
    accuracy = results.accuracies[key]
    difference, _, p = cells(results.judged.get(key) if role == "vote" else None)
    return (
        results.view.title(key),
        role,
        _weight(results, key) if role == "member" else formats.MISSING,
        formats.percent(results.view.metric(key, "validation_accuracy")),
        formats.percent(accuracy.mean),
        formats.percent_interval(accuracy.low, accuracy.high),
        difference,
        p,
    )


def _weight(results: Results, member: str) -> str:
    """Weight in the vote that validation selects; one that it leaves out weighs nothing."""
    assert results.ensemble is not None
    return formats.decimal(results.ensemble.weights[results.ensemble.best_vote].get(member, 0.0))


def diversity(results: Results, findings: Findings) -> Table | None:
    """How differently each pair of members errs."""
    ensemble = results.ensemble
    if ensemble is None or ensemble.diversity.empty:
        return None
    title, frame = results.view.title, ensemble.diversity
    rows = tuple(
        (
            title(row.a),
            title(row.b),
            formats.percent(row.disagreement),
            formats.percent(row.double_fault),
            formats.number(row.q_statistic),
            formats.number(row.kappa),
            formats.number(row.error_jaccard),
        )
        for row in frame.itertuples()
    )
    low, high = (formats.percent(value) for value in (frame["disagreement"].min(), frame["disagreement"].max()))
    spread = f"{low} %" if low == high else f"{low} to {high} %"
    caption = join(
        f"Exactly one member of a pair is right on {spread} of the test images.",
        "Disagreement: one of two is right; double fault: neither is; Q: Yule's statistic of their "
        "correctness; κ: Cohen's, of their predictions; Jaccard: errors shared over errors of either.",
        pooled_images(results),
        one_seed(results, ensemble.seed),
    )
    head = ("Member", "Member", "Disagreement, %", "Double fault, %", "Q", "κ", "Jaccard")
    return Table("diversity", caption, head, rows, "llrrrrr")


def pooled_images(results: Results) -> str:
    """The number of test images as a sentence."""
    return f"n = {formats.count(results.view.plan['dataset']['sizes']['test'])} test images."


def deployment(results: Results, findings: Findings) -> Table | None:
    """Size, accuracy and latency of every timed model."""
    frame = results.deployment
    if frame.empty:
        return None
    rows = tuple(
        (
            results.view.title(row.model),
            row.precision,
            formats.percent(row.accuracy),
            formats.megabytes(row.bytes),
            formats.decimal(row.p50_ms),
            formats.decimal(row.p95_ms),
            formats.count(row.images_per_second),
        )
        for row in frame.itertuples()
    )
    caption = join(
        takeaway(findings, "latency/int8"),
        "Test accuracy, file size (10⁶ bytes) and latency at batch 1 on one thread, timed interleaved in "
        f"one process with {formats.listing(sorted(set(frame['runtime'])))}; throughput at the fastest "
        "batch size tried.",
        pooled_images(results),
    )
    head = ("Model", "Precision", "Accuracy, %", "Size, MB", "p50, ms", "p95, ms", "Images/s")
    return Table("deployment", caption, head, rows, "llrrrrr")


def trust(results: Results, findings: Findings) -> Table | None:
    """Calibration and error detection of each source of confidence."""
    if results.trust is None:
        return None
    others = results.trust.outliers
    measured = others if others and others.scores else None
    rows = tuple(
        (*_trust_row(uncertainty), *([formats.number(results.trust.outlier_auroc(name))] if measured else []))
        for name, uncertainty in results.trust.uncertainties.items()
    )
    caption = join(
        takeaway(findings, "calibration/temperature"),
        f"Single model: {results.view.title(results.trust.model)}; its temperature is fitted on validation.",
        f"Ensemble: {results.view.title(results.trust.vote)}." if results.trust.vote else "",
        f"ECE: expected calibration error, {BINS} bins; NLL: negative log-likelihood in nats; AUROC: errors "
        "found by the uncertainty; AURC: area under the risk-coverage curve.",
        f"OOD AUROC: test images told from {formats.count(measured.images)} of {measured.title}." if measured else "",
        pooled(results) + (" AUROC and AURC are means over them." if len(results.view.plan["seeds"]) > 1 else ""),
    )
    head: tuple[str, ...] = ("Uncertainty", "ECE, %", "Adaptive ECE, %", "NLL", "Brier", "AUROC", "AURC, %")
    head += ("OOD AUROC",) if measured else ()
    return Table("trust", caption, head, rows, "l" + "r" * (len(head) - 1))


def _trust_row(uncertainty: Uncertainty) -> tuple[str, ...]:
    calibration = uncertainty.calibration
    return (
        uncertainty.title,
        formats.percent(calibration.ece),
        formats.percent(calibration.adaptive_ece),
        formats.number(calibration.nll),
        formats.number(calibration.brier),
        formats.number(uncertainty.auroc),
        formats.percent(uncertainty.aurc),
    )


def environment(results: Results, findings: Findings) -> Table | None:
    """What the runs ran on, and what they took, level by level."""
    view = results.view
    done = [run for key in view.experiments for run in view.runs_of(key)]
    if not done:
        return None
    environments = [run.environment for run in done]
    recorded = environments[-1]
    totals = {level: _seconds(_runs_at(results, level)) for level in view.levels}
    rows = (
        ("Device", str(recorded["device_name"] or recorded["device"])),
        ("Platform", str(recorded.get("platform", formats.MISSING))),
        ("Threads of a run", threads_of(environments)),
        ("Precision of trainings", _precisions(results)),
        ("Source revision", revision_of(environments)),
        *((package, str(version)) for package, version in recorded["versions"].items()),
        (
            "Peak memory",
            f"{formats.count(max(run.environment['peak_memory_bytes'] for run in done) / 1e6)} MB",
        ),
        *((f"Compute, level {level}", formats.duration(seconds)[2]) for level, seconds in totals.items()),
        ("Compute, total", formats.duration(_seconds(done))[2]),
    )
    takes = f"{formats.plural(len(done), 'run')} took {formats.duration(_seconds(done))[2]} of compute in all."
    caption = join(
        takes,
        "Device and versions as the last run recorded them; peak memory is the largest of any run; times are wall "
        "time, for some runs beside another one.",
    )
    return Table("environment", caption, ("Item", "Value"), rows, "ll")


def _precisions(results: Results) -> str:
    trained = [run for planned in results.view.of_kind(*TRAINED) for run in results.view.runs_of(planned.key)]
    return formats.listing(sorted({str(run.environment["precision"]) for run in trained})) or formats.MISSING


def _runs_at(results: Results, level: int) -> list[Run]:
    return [run for planned in results.view.at(level) for run in results.view.runs_of(planned.key)]


def _seconds(done: list[Run]) -> float:
    return float(np.sum([run.durations["total"] for run in done]))


def runs(results: Results, findings: Findings) -> Table | None:
    """Every complete run with its seed, duration and digest."""
    view = results.view
    done = [run for key in view.experiments for run in view.runs_of(key)]
    if not done:
        return None
    planned = len(done) + len(view.pending)
    caption = join(
        f"{formats.count(len(done))} of {formats.plural(planned, 'planned run')} are complete.",
        f"The digest is the first {SHORT_DIGEST} digits of the SHA-256 of what the run predicted or timed; "
        "equal digests mean equal results.",
        shared_sentence(results, "Duration"),
    )
    rows = tuple((run.key, str(run.seed), _test_accuracy(run), _total(run), _digest(run)) for run in done)
    head = ("Experiment", "Seed", "Test accuracy, %", "Duration", "Digest")
    return Table("runs", caption, head, rows, "lrrrl")


def _test_accuracy(run: Run) -> str:
    return formats.percent(run.metrics["test_accuracy"]) if "test_accuracy" in run.metrics else formats.MISSING


def _total(run: Run) -> str:
    return formats.duration(run.durations["total"])[2]


def _digest(run: Run) -> str:
    found = (run.files[name] for name in (PREDICTIONS, LATENCY_FILE) if name in run.files)
    return next(found, formats.MISSING)[:SHORT_DIGEST]
