"""`invoke add`: predictions made elsewhere become a run of a study."""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from study import records
from study.errors import StudyError
from study.experiment import Experiment
from study.kinds import Added, JoinedVote, Kind, Vote
from study.kinds.added import MARK, Form, accepted
from study.records import SPLITS, Outcome, Plan, Predictions, Run, Spec
from study.running import predictions_file
from study.running.runner import locked

LONGEST_TITLE = 60


def add(
    folder: Path, file: Path, title: str = "", control: str = "", seed: int | None = None, vote: str = ""
) -> list[str]:
    """Record the predictions of ``file`` as a run of the study in ``folder``; returns what there is to say, in lines.

    They are called ``title`` (by default as the file), compared with ``control`` and, where ``vote`` names one of the
    study's votes, join it as one more member. ``seed`` is the study's first unless given; the same title with another
    seed adds a repetition. StudyError, with nothing written, when anything does not fit.
    """
    records.read_plan(folder)  # says where there is none, before a lock is written there
    with locked(folder):
        plan = records.read_plan(folder)
        current = records.current_runs(folder, plan)
        seed = plan.seeds[0] if seed is None else seed
        if seed not in plan.seeds:
            raise StudyError(f"the study has no seed {seed}; its seeds are {', '.join(map(str, plan.seeds))}")
        form, given = predictions_file.read(file, plan.dataset.classes)
        outcome = accepted(form, given, _known(current), plan.dataset.classes)
        experiment = _experiment(plan, title or file.stem, form, seed, control)
        _require_predictions(control, experiment.key, plan, current)
        joined = _joined(plan, experiment, vote, outcome) if vote else None
        planned = _with(plan, [experiment, *([joined] if joined else [])])
        outcome.metrics |= {"file": file.name, "file_sha256": records.sha256(file)}
        _record(folder, Spec(experiment, seed, plan.preset, plan.dataset.fingerprint, plan.dataset.splits, {}), outcome)
        records.write_plan(folder, planned)
    said = [f"{experiment.key}/seed-{seed}: test accuracy {100 * outcome.metrics['test_accuracy']:.2f} %"]
    return said + ([f"{joined.key}: the next `invoke study` of all levels takes the vote"] if joined else [])


def _known(current: dict[str, Run]) -> dict[str, Predictions]:
    """Predictions of one of the study's own runs, which have the study's images in its order. StudyError for none."""
    ours = (run for run in current.values() if not run.experiment.elsewhere and run.predicts())
    if (run := next(ours, None)) is None:
        raise StudyError("the study has no predictions yet whose images these could be; run `invoke study` first")
    return {split: run.predictions(split) for split in SPLITS}


def _experiment(plan: Plan, title: str, form: Form, seed: int, control: str) -> Added:
    """The experiment that the predictions are a run of: a new one, or that which has the title already."""
    if not title.isprintable() or not title.strip() or len(title) > LONGEST_TITLE:
        raise StudyError(f"--title takes one line of at most {LONGEST_TITLE} characters, not {title!r}")
    shown, name = title.strip() + MARK, _name(title)
    before = next((each for each in plan.experiments if isinstance(each, Added) and each.name == name), None)
    if before is None:
        if any(each.key == f"added/{name}" or each.title == shown for each in plan.experiments):
            raise StudyError(f"the study has {title!r} already; choose another --title")
        return Added(name=name, title=shown, control=control, form=form, seeds=(seed,))
    if (before.title, before.form) != (shown, form):
        raise StudyError(f"{before.key} holds {before.form} called {before.title!r}; choose another --title")
    return replace(before, seeds=tuple(sorted({*before.seeds, seed})), control=control or before.control)


def _name(title: str) -> str:
    """A folder's name for a title: its Latin letters and digits, else a digest."""
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or hashlib.sha256(title.encode()).hexdigest()[:8]


def _require_predictions(control: str, key: str, plan: Plan, current: dict[str, Run]) -> None:
    """StudyError unless the control, where one is named, is in the plan and predicts."""
    keys = [each.key for each in plan.experiments if each.key != key]
    if control and control not in keys:
        near = ", ".join(difflib.get_close_matches(control, keys, 3)) or "`invoke status` lists them"
        raise StudyError(f"the study has no experiment {control!r} to be the control; nearest: {near}")
    runs = [run for run in current.values() if run.key == control]
    if runs and not any(run.predicts() for run in runs):
        raise StudyError(f"{control} predicts nothing that could be compared; choose another --control")


def _joined(plan: Plan, experiment: Added, key: str, outcome: Outcome) -> JoinedVote:
    """The vote with one more member. StudyError unless it can be taken with predictions such as these."""
    votes = {each.key: each for each in plan.experiments if isinstance(each, Vote)}
    if key not in votes:
        raise StudyError(f"the study has no vote {key!r}; its votes are {', '.join(votes)}")
    if "validation_accuracy" not in outcome.metrics:
        raise StudyError("a member of a vote needs predictions on validation images, too, and the file has none")
    if not experiment.graded and votes[key].rule != "hard":
        hard = next((vote.key for vote in votes.values() if vote.rule == "hard"), "none here")
        raise StudyError(f"hard labels have no probabilities to vote with; they can join a hard vote ({hard})")
    title = f"{votes[key].title} with {experiment.title}"
    joined = JoinedVote(
        name=f"{experiment.name}-in-{votes[key].name}",
        title=title,
        control=key,
        differs=f"{experiment.title} as one more member",
        members=(*votes[key].members, experiment.key),
        rule=votes[key].rule,
    )
    if any(each.key == joined.key and not isinstance(each, JoinedVote) for each in plan.experiments):
        raise StudyError(f"the study has {joined.key} already, and it is no such vote; choose another --title")
    return joined


def _with(plan: Plan, new: list[Kind]) -> Plan:
    """The plan with these experiments, in the place of those that had their keys."""
    experiments: dict[str, Experiment] = {each.key: each for each in (*plan.experiments, *new)}
    return replace(plan, experiments=tuple(experiments.values()))


def _record(folder: Path, spec: Spec, outcome: Outcome) -> None:
    run = folder / spec.name
    if run.exists():
        from study.running.recording import make_room  # which needs torch

        make_room(folder, spec)
    records.write_spec(run, spec)
    outcome.durations["total"] = 0.0
    records.finish(run, outcome)
