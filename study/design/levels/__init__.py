"""The levels: each file lists its experiments and reads like a paper's methods section; a level is found by its file.

A file ``level<N>_<subject>.py`` has its ``LEVEL`` and a function ``experiments`` of the preset.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from types import ModuleType
from typing import Any

from study.description import Description, Level, Target
from study.design.presets import Preset
from study.errors import StudyError
from study.experiment import Augmentation, Recipe
from study.kinds import Kind


@cache
def _modules() -> dict[int, ModuleType]:
    """The levels' files by number."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("level"))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.LEVEL.number: module for module in modules}


def described(description: Description) -> tuple[Level, ...]:
    """All levels, ascending, with what is asked of them on data of that description."""
    levels = [module.LEVEL for _, module in sorted(_modules().items())]
    if unknown := sorted(description.levels.keys() - {level.number for level in levels}):
        raise StudyError(f"the description asks something of level {unknown[0]}, which does not exist")
    return tuple(level.on(description.levels.get(level.number, Target())) for level in levels)


def experiments(preset: Preset, levels: Sequence[int] | None = None) -> tuple[Kind, ...]:
    """All experiments of the chosen levels, or of all, in an order in which every run finds what it needs.

    StudyError for a level that does not exist.
    """
    numbers = sorted(_modules())
    chosen = numbers if levels is None else sorted(set(levels))
    unknown = [level for level in chosen if level not in numbers]
    if unknown:
        raise StudyError(f"unknown level {unknown[0]}; levels are {numbers[0]} to {numbers[-1]}, e.g. --levels 1,2")
    found = tuple(experiment for level in chosen for experiment in _modules()[level].experiments(preset))
    return found if preset.flip else _without_mirror_images(found)


def _without_mirror_images(value: Any) -> Any:  # noqa: ANN401 - experiments, and all that they are made of
    """The same with no augmentation that flips, and images tested as they are."""
    if isinstance(value, tuple):
        return tuple(map(_without_mirror_images, value))
    if not is_dataclass(value):
        return value
    assert not isinstance(value, type)
    changed = replace(value, **{each.name: _without_mirror_images(getattr(value, each.name)) for each in fields(value)})
    if isinstance(changed, Augmentation):
        return replace(changed, flip=False)
    return replace(changed, test_views=1) if isinstance(changed, Recipe) else changed


def selected(preset: Preset, levels: Sequence[int] | None, only: Sequence[str]) -> tuple[Kind, ...]:
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
