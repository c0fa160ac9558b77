"""The five levels: each file lists its experiments and reads like a paper's methods section."""

from __future__ import annotations

from fnmatch import fnmatchcase

from study.design.levels import (
    level1_transfer,
    level2_regularisation,
    level3_architecture,
    level4_ensemble,
    level5_deployment,
)
from study.design.presets import Preset
from study.errors import StudyError
from study.experiment import Experiment

LEVELS = {
    1: level1_transfer,
    2: level2_regularisation,
    3: level3_architecture,
    4: level4_ensemble,
    5: level5_deployment,
}
# Pass marks of the staged challenge, and what a published answer to it reached on a cloud GPU with one seed.
PASS_MARKS = {1: 0.85, 2: 0.90, 3: 0.91, 4: 0.93}
REFERENCE: dict[int, dict[str, float | str]] = {
    1: {"label": "ResNet-18", "accuracy": 0.9391},
    2: {"label": "ResNet-18, augmented", "accuracy": 0.9584},
    3: {"label": "ResNet-18 with SE head", "accuracy": 0.9551},
    4: {"label": "ensemble of two", "accuracy": 0.9727},
    5: {"label": "MobileNetV3-Small student", "accuracy": 0.8835, "latency_ms": 7.52},
}


def experiments(preset: Preset, levels: tuple[int, ...] = tuple(LEVELS)) -> tuple[Experiment, ...]:
    """All experiments of the chosen levels, in an order in which every run finds what it needs.

    StudyError for a level that is not 1 to 5.
    """
    unknown = [level for level in levels if level not in LEVELS]
    if unknown:
        raise StudyError(f"unknown level {unknown[0]}; levels are 1 to 5, e.g. --levels 1,2")
    return tuple(experiment for level in sorted(set(levels)) for experiment in LEVELS[level].experiments(preset))


def selected(preset: Preset, levels: tuple[int, ...], only: tuple[str, ...]) -> tuple[Experiment, ...]:
    """Of the chosen levels, the experiments whose key matches a pattern of ``only``, and those they need.

    Patterns are shell-style, e.g. ``level3/*``; without any, everything is selected. StudyError for a
    pattern that matches nothing.
    """
    listed = experiments(preset, levels)
    for pattern in only:
        if not any(fnmatchcase(experiment.key, pattern) for experiment in listed):
            raise StudyError(f"no experiment is called {pattern!r}; `invoke study --dry-run` lists them")
    wanted = {e.key for e in listed if not only or any(fnmatchcase(e.key, pattern) for pattern in only)}
    for experiment in reversed(listed):  # what an experiment needs comes before it
        if experiment.key in wanted:
            wanted.update(experiment.needs)
    return tuple(experiment for experiment in listed if experiment.key in wanted)
