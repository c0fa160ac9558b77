"""Facts: every number or name the paper may print, with the function and the runs it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis import formats
from analysis.evidence import Fact
from analysis.fact_makers import count_fact, interval_fact, percent_fact, points_fact, text_fact
from analysis.results import Judged, Results
from analysis.view import Planned

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "muon": "Muon"}


def study_facts(results: Results) -> Iterator[Fact]:
    """What was run, on what, with what."""
    view, plan = results.view, results.view.plan
    source, everything = "analysis.facts.study_facts", view.names(*view.experiments)
    data = plan["dataset"]
    yield text_fact("study/name", plan["study"], source)
    yield text_fact("study/preset", plan["preset"], source)
    yield text_fact("study/dataset", data["title"], source)
    yield text_fact("study/fingerprint", data["fingerprint"][:12], source)
    yield text_fact("study/notice", data["notice"], source)
    yield text_fact("study/seed-list", formats.listing([str(seed) for seed in plan["seeds"]]), source)
    yield count_fact("study/seeds", len(plan["seeds"]), source)
    yield count_fact("study/experiments", len(view.experiments), source)
    yield count_fact("study/runs", len(everything), source, everything)
    predicting = view.names(*results.accuracies)
    yield count_fact("study/test-evaluations", len(predicting), source, predicting)
    if view.superseded:
        yield count_fact("study/superseded", view.superseded, source)
    yield count_fact("study/pending", len(view.pending), source, everything)
    yield count_fact("study/levels", len(view.levels), source)
    yield count_fact("study/classes", len(view.classes), source)
    for split, size in data["sizes"].items():
        yield count_fact(f"study/{split}-images", size, source)
    yield from environment_facts(results)


def environment_facts(results: Results) -> Iterator[Fact]:
    """Device, versions and compute as the runs recorded them; nothing before the first run."""
    view, source = results.view, "analysis.facts.environment_facts"
    runs = [run for key in view.experiments for run in view.runs_of(key)]
    if not runs:
        return
    environments = [run.environment for run in runs]
    names, environment = tuple(run.name for run in runs), environments[-1]
    seconds = sum(float(run.durations["total"]) for run in runs)
    value, unit, text = formats.duration(seconds)
    yield Fact("study/compute", value, unit, text, source, names)
    yield text_fact("study/device", environment["device_name"] or environment["device"], source, names[-1:])
    yield text_fact("study/threads", threads_of(environments), source, names)
    yield text_fact("study/commit", revision_of(environments), source, names)
    peak = max(float(run.environment["peak_memory_bytes"]) for run in runs)
    yield Fact("study/memory", peak / 1e6, "megabytes", f"{formats.count(peak / 1e6)} MB", source, names)
    for package, version in environment["versions"].items():
        yield text_fact(f"version/{package}", str(version), source, names[-1:])


def threads_of(environments: Sequence[Mapping[str, Any]]) -> str:
    """How many threads a run had, from the fewest to the most."""
    fewest, most = (pick(int(environment["threads"]) for environment in environments) for pick in (min, max))
    return formats.plural(most, "thread") if fewest == most else f"{fewest} to {most} threads"


def revision_of(environments: Sequence[Mapping[str, Any]]) -> str:
    """The source revision that all runs recorded, or how many they did."""
    recorded = {str(environment["commit"] or "not recorded")[:12] for environment in environments}
    return recorded.pop() if len(recorded) == 1 else f"{len(recorded)} different ones"


def accuracy_facts(results: Results) -> Iterator[Fact]:
    """Accuracy of every experiment, and what training it took."""
    view, source = results.view, "analysis.statistics.accuracy.summarise"
    for key, accuracy in results.accuracies.items():
        runs = view.names(key)
        yield percent_fact(f"accuracy/{key}", accuracy.mean, source, runs)
        yield interval_fact(f"accuracy-interval/{key}", accuracy.low, accuracy.high, source, runs)
        if accuracy.sd is not None:
            yield points_fact(f"accuracy-sd/{key}", accuracy.sd, source, runs)
        validation = view.metric(key, "validation_accuracy")
        yield percent_fact(f"validation-accuracy/{key}", validation, "study.records.Predictions.accuracy", runs)
    for planned in view.of_kind("Training", "Search"):
        yield from cost_facts(results, planned)


def cost_facts(results: Results, planned: Planned) -> Iterator[Fact]:
    """Size and cost of a trained network, and how right its teacher is where it has one; means over seeds."""
    view, key, source = results.view, planned.key, "analysis.facts.cost_facts"
    runs = view.names(key)
    for name, metric in (("parameters", "parameters"), ("macs", "macs")):
        value = view.metric(key, metric)
        yield Fact(f"{name}/{key}", value, "count", formats.quantity(value), source, runs)
    if planned.spec.get("distillation"):
        told = view.metric(key, "teacher_validation_accuracy")
        yield percent_fact(f"teacher-accuracy/{key}", told, "study.training.distillation.accuracy", runs)
        monitored = view.metric(key, "monitored_images")
        yield count_fact(f"teacher-images/{key}", int(monitored), source, runs)
    value, unit, text = formats.duration(train_seconds(results, key))
    yield Fact(f"training-time/{key}", value, unit, text, source, runs)


def train_seconds(results: Results, key: str) -> float:
    """Training time in seconds, mean over seeds; the total where training was not timed apart."""
    runs = results.view.runs_of(key)
    return sum(float(run.durations.get("train", run.durations["total"])) for run in runs) / len(runs)


def comparison_facts(results: Results) -> Iterator[Fact]:
    """Difference of every experiment from its control."""
    for key, judged in results.judged.items():
        yield from _judged_facts(results, key, judged)
    for level, judged in results.progress.items():
        yield from _judged_facts(results, f"level{level}-over-previous", judged)
    family = results.view.names(*results.judged)
    yield count_fact("comparisons/count", len(results.judged), "analysis.statistics.comparison.holm", family)


def _judged_facts(results: Results, name: str, judged: Judged) -> Iterator[Fact]:
    source, c = "analysis.statistics.comparison.compare", judged.comparison
    runs = results.view.names(judged.key, judged.control)
    yield points_fact(f"difference/{name}", c.difference, source, runs)
    text = f"{formats.points_interval(c.low, c.high)} points"
    yield Fact(f"difference-interval/{name}", [c.low, c.high], "points", text, source, runs)
    yield Fact(f"p/{name}", judged.p, "p", formats.p_value(judged.p), "analysis.statistics.comparison.holm", runs)
    detectable = f"{formats.percent(c.detectable)} points"
    yield Fact(
        f"detectable/{name}",
        c.detectable,
        "points",
        detectable,
        "analysis.statistics.comparison.detectable_effect",
        runs,
    )


def level_facts(results: Results) -> Iterator[Fact]:
    """The model each level selects, beside pass marks and reference figures."""
    view, source = results.view, "analysis.view.StudyView.selected"
    for level, key in results.best.items():
        runs, accuracy = view.names(*(planned.key for planned in view.at(level))), results.accuracies[key]
        measured = "analysis.statistics.accuracy.summarise"
        yield text_fact(f"best/level{level}", view.title(key), source, runs)
        yield text_fact(f"best-key/level{level}", key, source, runs)
        yield percent_fact(f"best-accuracy/level{level}", accuracy.mean, measured, view.names(key))
        name = f"best-accuracy-interval/level{level}"
        yield interval_fact(name, accuracy.low, accuracy.high, measured, view.names(key))
    for level, mark in view.plan["pass_marks"].items():
        yield percent_fact(f"pass-mark/level{level}", mark, "study.records.load_plan")
    for level, reference in view.plan["reference"].items():
        yield percent_fact(f"reference-accuracy/level{level}", reference["accuracy"], "study.records.load_plan")
        if reference.get("label"):
            yield text_fact(f"reference-label/level{level}", reference["label"], "study.records.load_plan")
        if "latency_ms" in reference:
            latency = reference["latency_ms"]
            text = f"{formats.decimal(latency)} ms"
            yield Fact(
                f"reference-latency/level{level}",
                latency,
                "milliseconds",
                text,
                "study.records.load_plan",
                (),
            )


def recipe_facts(results: Results) -> Iterator[Fact]:
    """How each network is trained, printed from its spec."""
    for key, planned in results.view.experiments.items():
        if planned.trained:
            for name, text in describe_recipe(planned.training).items():
                yield text_fact(f"recipe/{key}/{name}", text, "analysis.facts.describe_recipe", results.view.names(key))


def describe_recipe(training: Mapping[str, Any]) -> dict[str, str]:
    """A training spec in words; what changes between stages is joined by "then"."""
    recipe = training["recipe"]
    stages = recipe["stages"]
    return _where_used(stages) | {
        "architecture": training["architecture"]["backbone"],
        "initialisation": _initialisation(training),
        "optimizer": OPTIMIZERS.get(recipe["optimizer"], recipe["optimizer"]),
        "epochs": formats.setting(sum(stage["epochs"] for stage in stages)),
        "batch-size": formats.count(recipe["batch_size"]),
        "weight-decay": formats.setting(recipe["weight_decay"]),
        "label-smoothing": formats.setting(recipe["label_smoothing"]),
        "learning-rate": _by_stage([formats.setting(stage["learning_rate"]) for stage in stages]),
        "image-size": _by_stage([_side(stage) for stage in stages]),
        "schedule": _by_stage([stage["schedule"] for stage in stages]),
        "mixup": _by_stage([formats.setting(stage["mixup"]) for stage in stages]),
        "augmentation": _by_stage([describe_augmentation(stage["augmentation"]) for stage in stages]),
        "views": _views(recipe),
    }


def _initialisation(training: Mapping[str, Any]) -> str:
    return "ImageNet weights" if training["architecture"]["pretrained"] else "random weights"


def _where_used(stages: list[Mapping[str, Any]]) -> dict[str, str]:
    """What only some recipes have: frozen layer groups or filters, images that start smaller than they end."""
    frozen = max(stage["frozen_groups"] for stage in stages)
    depthwise = any(stage["frozen_depthwise"] for stage in stages)
    first = min(stage["first_size"] for stage in stages)
    return (
        ({"frozen-groups": formats.setting(frozen)} if frozen else {})
        | ({"frozen-filters": "depthwise"} if depthwise else {})
        | ({"first-size": f"{first} px"} if first else {})
    )


def _views(recipe: Mapping[str, Any]) -> str:
    """What a network is shown at test, to follow "its logits for"."""
    return "the image, averaged with those for its mirror image" if recipe["flip_at_test"] else "the image alone"


def _side(stage: Mapping[str, Any]) -> str:
    first, last = stage["first_size"], stage["image_size"]
    return f"sizes growing from {first} to {last} px" if first else f"{last} px"


def _by_stage(texts: list[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else ", then ".join(texts)


def describe_augmentation(augmentation: Mapping[str, Any]) -> str:
    """The transforms that are switched on, with their parameters.

    >>> describe_augmentation({"flip": True, "crop": 4, "rotation": 0.0, "jitter": 0.0, "cutout": 0})
    'horizontal flip in every other epoch and crop after 4 px padding'
    """
    wordings = {
        "flip": "horizontal flip in every other epoch",
        "crop": "crop after {} px padding",
        "rotation": "rotation within ±{}°",
        "jitter": "colour jitter of ±{}",
        "cutout": "cutout of {} px",
    }
    used = [wording.format(_plain(augmentation[name])) for name, wording in wordings.items() if augmentation.get(name)]
    return formats.listing(used) or "none"


def _plain(value: float) -> str:
    return formats.setting(float(value))
