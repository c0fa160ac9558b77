"""A study as the analysis sees it: the plan beside the runs that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from analysis import fonts
from study.description import Level
from study.experiment import Experiment, run_name
from study.files import read_json
from study.kinds import Quantization, Vote
from study.records import PREDICTIONS, SUPERSEDED, TRIALS, Plan, Predictions, Run, current_runs, read_failure, read_plan

Kind = TypeVar("Kind", bound=Experiment)


@dataclass(frozen=True)
class StudyView:
    """The plan, its experiments by key in the plan's order, and complete runs by key and seed.

    ``superseded`` counts predictions of earlier runs that newer ones have replaced, ``failed`` names the runs that
    were tried last without success.
    """

    plan: Plan
    experiments: Mapping[str, Experiment]
    runs: Mapping[str, Mapping[int, Run]]
    superseded: int = 0
    failed: tuple[str, ...] = ()

    @property
    def classes(self) -> list[str]:
        """Class names in label order."""
        return list(self.plan.dataset.classes)

    @property
    def names_shown(self) -> list[str]:
        """Names in figures that users choose: of the classes and of what they added."""
        return [*self.classes, *(experiment.title for experiment in self.experiments.values())]

    @cached_property
    def pending(self) -> tuple[str, ...]:
        """Names of the planned runs that are not complete."""
        wanted = ((each.key, seed) for seed, each in self.plan.runs)
        return tuple(run_name(key, seed) for key, seed in wanted if seed not in self.runs.get(key, {}))

    @property
    def levels(self) -> list[int]:
        """Numbers of the levels that have experiments, ascending."""
        return sorted({experiment.level for experiment in self.experiments.values() if experiment.level})

    @cached_property
    def level(self) -> dict[int, Level]:
        """What the plan says of each level, by number."""
        return {level.number: level for level in self.plan.levels}

    def title(self, key: str) -> str:
        """Name of an experiment in tables."""
        return self.experiments[key].title if key in self.experiments else key

    def phrase(self, key: str) -> str:
        """Name of an experiment within a sentence."""
        return (self.experiments[key].phrase if key in self.experiments else "") or self.title(key)

    def planned(self, kind: type[Kind]) -> list[Kind]:
        """Experiments of a kind, whether or not they have a run."""
        return [experiment for experiment in self.experiments.values() if isinstance(experiment, kind)]

    def of_kind(self, kind: type[Kind]) -> list[Kind]:
        """Experiments of a kind that have a run."""
        return [experiment for experiment in self.planned(kind) if self.runs.get(experiment.key)]

    def at(self, level: int) -> list[Experiment]:
        """Experiments of a level that have a run."""
        return [experiment for experiment in self.of_kind(Experiment) if experiment.level == level]

    @property
    def trained(self) -> list[Experiment]:
        """Experiments that have a run with a network of its own."""
        return [experiment for experiment in self.of_kind(Experiment) if experiment.trained]

    @property
    def own(self) -> list[str]:
        """Keys of the experiments whose runs the study carries out itself."""
        return [key for key, experiment in self.experiments.items() if not experiment.elsewhere]

    @property
    def all_runs(self) -> list[Run]:
        """Every complete run, in the plan's order."""
        return [run for key in self.experiments for run in self.runs_of(key)]

    @property
    def own_runs(self) -> list[Run]:
        """Every complete run that the study carried out itself, in the plan's order."""
        return [run for key in self.own for run in self.runs_of(key)]

    def runs_of(self, key: str) -> list[Run]:
        """Complete runs of an experiment by seed; empty while it is pending."""
        return list(self.runs.get(key, {}).values())

    def names(self, *keys: str) -> tuple[str, ...]:
        """Names of the complete runs of these experiments, as provenance lists them."""
        return tuple(run.name for key in dict.fromkeys(keys) for run in self.runs_of(key))

    def predictions(self, key: str, split: str = "test") -> list[Predictions]:
        """Predictions by seed; empty when the experiment is pending or predicts nothing."""
        return [run.predictions(split) for run in self.runs_of(key) if run.predicts(split)]

    def paired(self, *keys: str) -> list[list[Predictions]]:
        """For each experiment its test predictions of the seeds that all of them have, in the same order."""
        ours = [{run.seed: run for run in self.runs_of(key) if run.predicts()} for key in keys]
        shared = sorted(set.intersection(*(set(runs) for runs in ours)))
        return [[runs[seed].predictions("test") for seed in shared] for runs in ours]

    def correct(self, *keys: str) -> list[np.ndarray]:
        """For each experiment whether test predictions are right, (S, N) bool for the seeds that all of them have."""
        return [np.array([predictions.correct for predictions in each]) for each in self.paired(*keys)]

    def differences(self, key: str, control: str) -> np.ndarray:
        """Test correctness of an experiment less its control's, (S, N) for the seeds that both have; empty without."""
        treated, untreated = self.correct(key, control)
        return treated.astype(float) - untreated

    def seeds_of(self, *keys: str) -> list[int]:
        """Seeds of which all of these experiments have a run."""
        return sorted(set.intersection(*(set(self.runs.get(key, {})) for key in keys)))

    def restricted_to(self, seeds: Sequence[int]) -> StudyView:
        """The same study as if it had only the runs of these seeds."""
        kept = {key: {seed: run for seed, run in runs.items() if seed in seeds} for key, runs in self.runs.items()}
        return replace(self, runs={key: runs for key, runs in kept.items() if runs})

    def metric(self, key: str, name: str) -> float:
        """Mean over the seeds that recorded a metric. KeyError when no run did."""
        if not (runs := [run for run in self.runs_of(key) if name in run.metrics]):
            raise KeyError(f"no run of {key} has {name}")
        return sum(run.metrics[name] for run in runs) / len(runs)

    def trials(self, key: str) -> list[dict[str, Any]]:
        """Trials of a search's first run: number, state, value, params, seconds."""
        return read_json(self.runs_of(key)[0].folder / TRIALS)

    def best(self, keys: Iterable[str]) -> str | None:
        """The experiment with the highest mean validation accuracy; the first of ``keys`` among equals."""
        present = [key for key in keys if self.predictions(key, "validation")]
        return max(present, key=lambda key: self.metric(key, "validation_accuracy"), default=None)

    def models(self, level: int) -> list[Experiment]:
        """Experiments of a level that have a run and are models: networks, trained or quantised, and votes."""
        return [each for each in self.at(level) if each.trained or isinstance(each, Quantization | Vote)]

    def selected(self, level: int) -> str | None:
        """The level's model, chosen on validation data: a vote where the level votes, else a network."""
        present = self.models(level)
        votes = [experiment.key for experiment in present if isinstance(experiment, Vote)]
        return self.best(votes or (experiment.key for experiment in present))


def drawable(view: StudyView) -> StudyView:
    """The study with the names of classes and experiments as figures can show them."""
    experiments = tuple(replace(each, title=fonts.drawable(each.title)) for each in view.plan.experiments)
    dataset = replace(view.plan.dataset, classes=tuple(map(fonts.drawable, view.plan.dataset.classes)))
    plan = replace(view.plan, experiments=experiments, dataset=dataset)
    return replace(view, plan=plan, experiments={experiment.key: experiment for experiment in experiments})


def view_study(study: Path) -> StudyView:
    """Read a study's plan and the complete runs that still stand (``study.records.current_runs``).

    Altered runs count as missing. StudyError when there is no plan.
    """
    plan = read_plan(study)
    runs: dict[str, dict[int, Run]] = {}
    for run in current_runs(study, plan).values():
        runs.setdefault(run.key, {})[run.seed] = run
    superseded = sum(1 for _ in (study / SUPERSEDED).rglob(PREDICTIONS))
    view = StudyView(plan, {experiment.key: experiment for experiment in plan.experiments}, runs, superseded)
    return replace(view, failed=tuple(name for name in view.pending if read_failure(study / name)))
