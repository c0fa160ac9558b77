"""Hyper-parameter search with Optuna: TPE with median pruning, resumable after any interruption."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.data.datasets import Dataset, Subset, cut
from study.errors import StudyError
from study.experiment import Recipe, Search
from study.machine import Machine
from study.models.classifier import build
from study.training.streams import derive
from study.training.trainer import Diverged, Hooks, Progress, Trainer

if TYPE_CHECKING:
    import optuna

JOURNAL = "trials.journal"
STARTUP_TRIALS = 2
DIVERGED = "diverged"


def run_trials(
    experiment: Search,
    dataset: Dataset,
    machine: Machine,
    seed: int,
    folder: Path,
    on_images: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Run the trials that are still missing; returns all finished ones as JSON-ready data.

    Trials are kept in a journal in ``folder``. One that was interrupted is failed and drawn again,
    and each trial's sampler is seeded by how many have finished, so that a resumed search proposes
    what an uninterrupted one would have.
    """
    _mend(folder / JOURNAL)
    study = _open(folder / JOURNAL)
    small = cut(dataset, Subset(train=experiment.trial_images, validation=experiment.trial_images))
    while (finished := sum(map(_counts, study.trials))) < experiment.trials:
        study.sampler = _sampler(derive(seed, "search", finished) % 2**32)
        trial = study.ask()
        recipe = _trial_recipe(experiment, _suggest(trial, experiment))
        _run_trial(study, trial, experiment, recipe, small, machine, seed, on_images)
    return _described(study)


def best_recipe(experiment: Search, trials: list[dict[str, Any]]) -> tuple[dict[str, Any], Recipe]:
    """The trial with the best validation accuracy, and the base recipe with its values.

    StudyError when no trial finished.
    """
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    if not complete:
        raise StudyError(f"every trial of {experiment.key} diverged; lower the upper end of its learning-rate range")
    best = max(complete, key=lambda trial: trial["value"])
    return best, with_values(experiment.base.recipe, best["params"])


def with_values(recipe: Recipe, values: dict[str, float]) -> Recipe:
    """The recipe with a trial's learning rate, weight decay and label smoothing."""
    stages = tuple(replace(stage, learning_rate=values["learning_rate"]) for stage in recipe.stages)
    return replace(
        recipe, stages=stages, weight_decay=values["weight_decay"], label_smoothing=values["label_smoothing"]
    )


def _mend(journal: Path) -> None:
    """Undo what a kill or a full disk may have left: Optuna's lock, and a line cut short, at which it would stop.

    Nobody else is at work on the journal: the study's folder is locked.
    """
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file():
        with journal.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _open(journal: Path) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=pruner, load_if_exists=True
    )
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial ran to an end of its own: complete, pruned or diverged, but not interrupted."""
    import optuna

    if trial.state == optuna.trial.TrialState.FAIL:
        return DIVERGED in trial.user_attrs
    return trial.state.is_finished()


def _suggest(trial: optuna.Trial, experiment: Search) -> dict[str, float]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", *experiment.learning_rate, log=True),
        "weight_decay": trial.suggest_float("weight_decay", *experiment.weight_decay, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", *experiment.label_smoothing),
    }


def _trial_recipe(experiment: Search, values: dict[str, float]) -> Recipe:
    recipe = with_values(experiment.base.recipe, values)
    return replace(recipe, stages=(replace(recipe.stages[-1], epochs=experiment.trial_epochs),))


def _run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    experiment: Search,
    recipe: Recipe,
    dataset: Dataset,
    machine: Machine,
    seed: int,
    on_images: Callable[[int], None],
) -> None:
    import optuna

    def report(progress: Progress) -> None:
        trial.report(progress.rows[-1]["validation_accuracy"], len(progress.rows))
        if len(progress.rows) < recipe.epochs and trial.should_prune():
            raise optuna.TrialPruned

    model = build(experiment.base.architecture, len(dataset.classes), derive(seed, "initialisation"))
    try:
        rows = Trainer(model, recipe, dataset, machine, seed, monitored=len(dataset.validation)).fit(
            hooks=Hooks(report, on_images)
        )
        study.tell(trial, rows[-1]["validation_accuracy"])
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except Diverged:
        trial.set_user_attr(DIVERGED, True)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _described(study: optuna.Study) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "state": trial.state.name,
            "value": trial.value,
            "params": trial.params,
            "seconds": trial.duration.total_seconds() if trial.duration else 0.0,
        }
        for number, trial in enumerate(filter(_counts, study.trials))
    ]
