"""A study as the analysis sees it: the plan beside the runs that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from study.records import PREDICTIONS, SUPERSEDED, Predictions, Run, current_runs, load_plan, read_json

TRIALS = "trials.json"
TRAINED = ("Training", "Search")


@dataclass(frozen=True)
class Planned:
    """One experiment of the plan (an entry of study.json)."""

    key: str
    kind: str
    level: int
    name: str
    title: str
    control: str
    differs: str
    spec: dict[str, Any]

    @property
    def trained(self) -> bool:
        """Whether its runs hold a network of their own."""
        return self.kind in TRAINED

    @property
    def training(self) -> dict[str, Any]:
        """Spec of what is trained: its own, or for a search that of the base experiment."""
        return self.spec.get("base") or self.spec

    @property
    def shared_epochs(self) -> int:
        """How many of its first epochs the run that it branches off has trained for it."""
        if not self.spec.get("branches_off"):
            return 0
        epochs = sum(stage["epochs"] for stage in self.spec["recipe"]["stages"])
        return epochs - self.spec["distillation"]["last_epochs"]


@dataclass(frozen=True)
class StudyView:
    """The plan, its experiments by key in the plan's order, and complete runs by key and seed.

    ``superseded`` counts predictions of earlier runs that newer ones have replaced.
    """

    plan: dict[str, Any]
    experiments: Mapping[str, Planned]
    runs: Mapping[str, Mapping[int, Run]]
    superseded: int = 0

    @property
    def classes(self) -> list[str]:
        """Class names in label order."""
        return list(self.plan["dataset"]["classes"])

    @property
    def notice(self) -> str:
        """The sentence that goes with stand-in data; empty otherwise."""
        return self.plan["dataset"]["notice"]

    @cached_property
    def pending(self) -> tuple[str, ...]:
        """Names of the planned runs that are not complete."""
        wanted = ((key, seed) for key in self.experiments for seed in self.plan["seeds"])
        return tuple(f"{key}/seed-{seed}" for key, seed in wanted if seed not in self.runs.get(key, {}))

    @property
    def levels(self) -> list[int]:
        """Levels of the plan, ascending."""
        return sorted({planned.level for planned in self.experiments.values()})

    def title(self, key: str) -> str:
        """Name of an experiment in tables."""
        return self.experiments[key].title if key in self.experiments else key

    def runs_of(self, key: str) -> list[Run]:
        """Complete runs of an experiment by seed; empty while it is pending."""
        return list(self.runs.get(key, {}).values())

    def names(self, *keys: str) -> tuple[str, ...]:
        """Names of the complete runs of these experiments, as provenance lists them."""
        return tuple(run.name for key in dict.fromkeys(keys) for run in self.runs_of(key))

    def at(self, level: int, *kinds: str) -> list[Planned]:
        """Experiments of a level that have a run, of these kinds or of any."""
        return [planned for planned in self.of_kind(*kinds) if planned.level == level]

    def of_kind(self, *kinds: str) -> list[Planned]:
        """Experiments that have a run, of these kinds or of any."""
        present = (planned for key, planned in self.experiments.items() if self.runs.get(key))
        return [planned for planned in present if not kinds or planned.kind in kinds]

    def predictions(self, key: str, split: str = "test") -> list[Predictions]:
        """Predictions by seed; empty when the experiment is pending or predicts nothing."""
        return [run.predictions(split) for run in self.runs_of(key) if run.predicts]

    def paired(self, *keys: str, split: str = "test") -> list[list[Predictions]]:
        """For each experiment its predictions of the seeds that all of them have, in the same order."""
        ours = [{run.seed: run for run in self.runs_of(key) if run.predicts} for key in keys]
        shared = sorted(set.intersection(*(set(runs) for runs in ours)))
        return [[runs[seed].predictions(split) for seed in shared] for runs in ours]

    def seeds_of(self, *keys: str) -> list[int]:
        """Seeds of which all of these experiments have a run."""
        return sorted(set.intersection(*(set(self.runs.get(key, {})) for key in keys)))

    def restricted_to(self, seeds: Sequence[int]) -> StudyView:
        """The same study as if it had only the runs of these seeds."""
        kept = {key: {seed: run for seed, run in runs.items() if seed in seeds} for key, runs in self.runs.items()}
        return replace(self, runs={key: runs for key, runs in kept.items() if runs})

    def metric(self, key: str, name: str) -> float:
        """Mean over seeds of a recorded metric. KeyError when no run recorded it."""
        values = [run.metrics[name] for run in self.runs_of(key)]
        if not values:
            raise KeyError(f"{key} has no run")
        return sum(values) / len(values)

    def trials(self, key: str) -> list[dict[str, Any]]:
        """Trials of a search's first run: number, state, value, params, seconds."""
        return read_json(self.runs_of(key)[0].folder / TRIALS)

    def best(self, keys: Iterable[str]) -> str | None:
        """The experiment with the highest mean validation accuracy; the first planned among equals."""
        present = [key for key in keys if self.predictions(key, "validation")]
        return max(present, key=lambda key: self.metric(key, "validation_accuracy"), default=None)

    def selected(self, level: int) -> str | None:
        """The level's model, chosen on validation data: a vote where the level votes, else a network."""
        candidates = self.at(level, "Vote") or self.at(level, *TRAINED)
        return self.best(planned.key for planned in candidates)


def view_study(study: Path) -> StudyView:
    """Read a study's plan and the complete runs that still stand (``study.records.current_runs``).

    Altered runs count as missing. StudyError when there is no plan.
    """
    plan = load_plan(study)
    experiments = {entry["key"]: _planned(entry) for entry in plan["experiments"]}
    runs: dict[str, dict[int, Run]] = {}
    for run in current_runs(study, plan):
        runs.setdefault(run.key, {})[run.seed] = run
    superseded = sum(1 for _ in (study / SUPERSEDED).rglob(PREDICTIONS))
    return StudyView(plan, experiments, runs, superseded)


def _planned(entry: dict[str, Any]) -> Planned:
    fields = ("key", "kind", "level", "name", "title", "control", "differs", "spec")
    return Planned(**{field: entry[field] for field in fields})
