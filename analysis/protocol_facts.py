"""Facts of the methods text: constants of the statistics, and what specs say beyond the common recipe."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from analysis import formats
from analysis.evidence import Fact, Finding
from analysis.fact_makers import count_fact, text_fact
from analysis.findings import ALPHA
from analysis.results import SEED_NOISE, Results
from analysis.statistics.calibration import expected_calibration_error
from analysis.statistics.comparison import compare, detectable_effect, paired_interval
from analysis.statistics.trust import aurc_gain
from study.experiment import MUON_ITERATIONS, MUON_MOMENTUM, MUON_REST, ROTATED_FRACTION

# Facts that are plain counts in the spec of a search, of MC dropout, of latency or of int8.
COUNTS = {
    "trial_epochs": "search/{key}/trial-epochs",
    "trial_images": "search/{key}/trial-images",
    "passes": "mc-dropout/{key}/passes",
    "repeats": "setting/{key}/repeats",
    "calibration_images": "setting/{key}/calibration-images",
}


def protocol_facts(results: Results) -> Iterator[Fact]:
    """The constants the statistics were computed with, read from the functions that use them."""
    yield _constant("level", f"{_default(paired_interval, 'level'):.0%}".replace("%", " %"), paired_interval)
    yield _constant("power", f"{_default(detectable_effect, 'power'):.0%}".replace("%", " %"), detectable_effect)
    yield _constant("alpha", formats.setting(ALPHA), detectable_effect)
    yield _constant("resamples", formats.count(_default(compare, "resamples")), compare)
    bins = _default(expected_calibration_error, "bins")
    yield _constant("bins", formats.count(bins), expected_calibration_error)
    resamples = _default(aurc_gain, "resamples")
    yield _constant("image-resamples", formats.count(resamples), aurc_gain)
    yield _constant("least-p", formats.setting(round(2 / (1 + resamples), 3)), aurc_gain)
    source = "analysis.findings.verdict_of"
    yield text_fact("protocol/seed-noise", f"{formats.percent(SEED_NOISE)} points", source)


def training_facts(results: Results) -> Iterator[Fact]:
    """Constants of the trainer that no spec holds."""
    source = "study.training.trainer.Trainer.optimizer"
    yield text_fact("protocol/muon-momentum", formats.setting(MUON_MOMENTUM), source)
    yield count_fact("protocol/muon-iterations", MUON_ITERATIONS, source)
    yield text_fact("protocol/muon-rest", f"{formats.setting(100 * MUON_REST)} %", source)
    rotated = f"{formats.setting(100 * ROTATED_FRACTION)} %"
    yield text_fact("protocol/rotated", rotated, "study.training.objective.Objective.loss")


def _default(function: Callable[..., Any], parameter: str) -> float:
    return inspect.signature(function).parameters[parameter].default


def _constant(name: str, text: str, function: Callable[..., Any]) -> Fact:
    return text_fact(f"protocol/{name}", text, f"{function.__module__}.{function.__qualname__}")


def spec_facts(results: Results) -> Iterator[Fact]:
    """Dropout, teaching, searched ranges and passes, where an experiment has them."""
    source = "study.experiment.identity"
    for key, planned in results.view.experiments.items():
        for name, text in {**_trained(planned.training), **_teaching(planned.spec)}.items():
            yield text_fact(f"recipe/{key}/{name}", text, source)
        if planned.shared_epochs:
            yield count_fact(f"recipe/{key}/shared-epochs", planned.shared_epochs, source)
        for name, text in _ranges(planned.spec).items():
            yield text_fact(f"search/{key}/{name}", text, source)
        for name, what in COUNTS.items():
            if name in planned.spec:
                yield count_fact(what.format(key=key), planned.spec[name], source)


def _trained(training: Mapping[str, Any]) -> dict[str, str]:
    architecture, recipe = training.get("architecture"), training.get("recipe")
    if not architecture or not recipe:
        return {}
    settings = {"dropout": architecture["dropout"]}
    settings |= {"warmup": max(stage["warmup"] for stage in recipe["stages"])}
    settings |= {"auxiliary-weight": recipe["auxiliary_weight"]} if architecture["auxiliary"] else {}
    return {name: formats.setting(float(value)) for name, value in settings.items() if value}


def _teaching(spec: Mapping[str, Any]) -> dict[str, str]:
    taught = spec.get("distillation")
    if not taught:
        return {}
    weight, temperature, best = (formats.setting(float(taught[name])) for name in ("weight", "temperature", "best"))
    return {
        "distillation-weight": weight,
        "temperature": temperature,
        "teachers": best,
        "arithmetic": "eight-bit integers" if taught["int8"] else "floating point",
        "heard": _heard(taught["last_epochs"]),
    }


def _heard(last_epochs: int) -> str:
    if not last_epochs:
        return "in all epochs"
    return f"in the last {formats.plural(last_epochs, 'epoch')} and learns from labels alone before"


def _ranges(spec: Mapping[str, Any]) -> dict[str, str]:
    if "trials" not in spec:
        return {}
    names = ("learning_rate", "weight_decay", "label_smoothing")
    return {
        f"range-{name.replace('_', '-')}": " to ".join(formats.setting(float(bound)) for bound in spec[name])
        for name in names
    }


def verdict_facts(results: Results, findings: Mapping[str, Finding]) -> Iterator[Fact]:
    """How many comparisons with a control reached each verdict."""
    judged = [f"difference/{key}" for key in results.judged]
    counts = Counter(findings[name].verdict for name in judged if name in findings)
    runs = results.view.names(*results.judged)
    if judged:
        for verdict in ("supported", "contradicted", "inconclusive"):
            yield count_fact(f"verdicts/{verdict}", counts[verdict], "analysis.findings.verdict_of", runs)
