"""Hyper-parameter search with Optuna: TPE with median pruning, resumable after any interruption."""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study import files, records
from study.errors import StudyError
from study.experiment import Recipe, Trained
from study.kinds.kind import Context, Kind, Scale
from study.kinds.training import START_SECONDS, Training, train, training_cost
from study.records import Outcome

if TYPE_CHECKING:
    import optuna

    from study.data.datasets import Dataset
    from study.training.trainer import Progress, Row

JOURNAL = "trials.journal"
TRIAL = ".trial.pt"  # checkpoint of the trial under way
STARTUP_TRIALS = 2
DIVERGED, SECONDS = "diverged", "seconds"  # what a trial is marked with


@dataclass(frozen=True, kw_only=True)
class Search(Kind):
    """Optuna search over the base experiment's recipe, selecting on validation accuracy.

    ``learning_rate`` and ``weight_decay`` are ranges sampled log-uniformly, ``label_smoothing`` one
    sampled uniformly. Each of the ``trials`` trains ``trial_epochs`` on ``trial_images`` images, and is
    judged on no more validation images than that, unless pruned; the winner is then trained with the base
    recipe's own budget.
    """

    base: Training
    trials: int
    trial_epochs: int
    trial_images: int
    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]
    label_smoothing: tuple[float, float]

    @property
    def trained(self) -> Trained:
        return self.base.trained

    @property
    def trial_recipe(self) -> Recipe:
        """The base recipe in as many epochs as a trial has."""
        recipe = self.base.recipe
        return replace(recipe, stages=(replace(recipe.stages[-1], epochs=self.trial_epochs),))

    def carry_out(self, context: Context) -> Outcome:
        started = time.perf_counter()
        trials = run_trials(self, context)
        (context.folder / TRIAL).unlink(missing_ok=True)
        files.write_json(context.folder / records.TRIALS, trials)
        searched = time.perf_counter() - started
        earlier = max(0.0, sum(trial["seconds"] for trial in trials) - searched)  # trials of interrupted sessions
        winner, recipe = best_recipe(self, trials)
        outcome = train(self.base, recipe, context)
        outcome.metrics |= {"best_trial": winner["number"]}
        outcome.durations["search"] = earlier + searched
        outcome.durations["earlier"] += earlier
        return outcome

    def cost(self, scale: Scale) -> float:
        images = min(self.trial_images, scale.images["train"])
        trial = training_cost(Trained(self.base.architecture, self.trial_recipe), images, images)
        return self.base.cost(scale) + self.trials * (START_SECONDS + trial)

    def memory(self, scale: Scale) -> int:
        return self.base.memory(scale)

    def images(self, scale: Scale) -> int:
        of_a_trial = self.base.recipe.seen(min(self.trial_images, scale.images["train"]))
        return self.base.images(scale) + self.trials * self.trial_epochs * of_a_trial


def run_trials(experiment: Search, context: Context) -> list[dict[str, Any]]:
    """Run the trials that are still missing; returns all finished ones as JSON-ready data.

    Trials are kept in a journal in the run's folder. One that was interrupted is failed and drawn again, goes on
    from its last epoch, and each trial's sampler is seeded by how many have finished, so that a resumed search proposes
    what an uninterrupted one would have.
    """
    from optuna.samplers import TPESampler

    from study.data.datasets import Subset, cut
    from study.streams import derive

    _mend(context.folder / JOURNAL)
    search = _open(context.folder / JOURNAL)
    small = cut(context.dataset, Subset(train=experiment.trial_images, validation=experiment.trial_images))
    epochs = sum(len(trial.intermediate_values) for trial in filter(_counts, search.trials))
    context.advance(epochs * experiment.base.recipe.seen(len(small.train)), True)
    while (finished := sum(map(_counts, search.trials))) < experiment.trials:
        seed = derive(context.seed, "search", finished) % 2**32
        search.sampler = TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        trial = search.ask()
        recipe = with_values(experiment.trial_recipe, _suggest(trial, experiment))
        _run_trial(search, trial, experiment, recipe, small, context)
    return _described(search)


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
    search = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=pruner, load_if_exists=True
    )
    for trial in search.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        search.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return search


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


def _run_trial(
    search: optuna.Study, trial: optuna.Trial, experiment: Search, recipe: Recipe, dataset: Dataset, context: Context
) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    from study.training.trainer import Diverged, Trainer

    started = time.perf_counter()
    checkpoint, owner = context.folder / TRIAL, f"{files.owner(context.folder / records.SPEC)} {recipe}"
    start = _interrupted(checkpoint, owner)
    before = start.seconds

    def report(rows: list[Row]) -> None:
        trial.report(rows[-1]["validation_accuracy"], len(rows))
        if len(rows) < recipe.epochs and trial.should_prune():
            raise TrialPruned

    def keep(progress: Progress) -> None:
        progress.seconds = before + time.perf_counter() - started
        progress.save(checkpoint, owner)
        report(progress.rows)

    def end(state: TrialState, value: float | None = None) -> None:
        trial.set_user_attr(SECONDS, before + time.perf_counter() - started)
        if state == TrialState.FAIL:
            trial.set_user_attr(DIVERGED, True)
        search.tell(trial, value, state)

    model = context.build(experiment.base.architecture)
    monitored = len(dataset.validation)
    try:
        trainer = Trainer(model, recipe, dataset, context.machine, context.seed, monitored=monitored)
        for epochs in range(len(start.rows)):
            report(start.rows[: epochs + 1])
        rows = trainer.fit(start, keep, context.advance)
        end(TrialState.COMPLETE, rows[-1]["validation_accuracy"])
    except TrialPruned:
        end(TrialState.PRUNED)
    except Diverged:
        end(TrialState.FAIL)


def _interrupted(checkpoint: Path, owner: str) -> Progress:
    """Where the same trial stood when it was interrupted; nowhere if what is there is damaged or another trial's."""
    from study.training.trainer import Progress

    with contextlib.suppress(StudyError):
        return Progress.load(checkpoint, owner)
    return Progress()


def _described(search: optuna.Study) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "state": trial.state.name,
            "value": trial.value,
            "params": trial.params,
            "seconds": trial.user_attrs.get(SECONDS, 0.0),  # Optuna's own are of a clock that may be set
        }
        for number, trial in enumerate(filter(_counts, search.trials))
    ]
