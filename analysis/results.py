"""What the statistics say about a study, computed once and read by facts, findings, tables and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.accuracy import Accuracy, summarise
from analysis.statistics.comparison import ALPHA, Comparison, compare, holm, seeds_needed
from analysis.statistics.deployed import deployment_frame
from analysis.statistics.ensemble import Ensemble, ensemble_of
from analysis.statistics.trust import Trust, trust_of
from analysis.view import Planned, StudyView
from study.records import Predictions

# Standard deviation of the difference between two trainings that differ in nothing but chance, at 0.15 points between
# seeds: Jordan 2023, https://arxiv.org/abs/2304.01910. A single pair must differ by two of them to be believed.
SEED_SD = 0.002
SEED_NOISE = 2 * SEED_SD


@dataclass(frozen=True)
class Judged:
    """A comparison of an experiment with its control; ``p`` is Holm-adjusted over its family.

    ``retrained`` tells whether treated and control were trained apart, so that chance in training
    is part of their difference; quantising a network or voting with it trains nothing. ``seeds_needed``
    to see a difference of this size on these images, where they were retrained and there is one.
    """

    key: str
    control: str
    comparison: Comparison
    p: float
    retrained: bool
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Results:
    """Statistics of every experiment that has runs.

    ``judged`` holds the family of comparisons with a control by treated experiment, ``progress``
    those of each level's selected model with the one before, by level, a family of their own but for
    pairs that ``judged`` has; ``best`` is the selected model by level.
    """

    view: StudyView
    accuracies: Mapping[str, Accuracy]
    judged: Mapping[str, Judged]
    progress: Mapping[int, Judged]
    best: Mapping[int, str]
    ensemble: Ensemble | None
    trust: Trust | None
    deployment: pd.DataFrame

    def judged_at(self, level: int) -> list[Judged]:
        """Comparisons of a level's experiments with their controls, in the plan's order."""
        return [judged for key, judged in self.judged.items() if self.view.experiments[key].level == level]


def results_of(view: StudyView) -> Results:
    """Compute everything; what has no runs yet is left out."""
    predicting = [key for key in view.experiments if view.predictions(key)]
    best = {level: key for level in view.levels if (key := view.selected(level))}
    ensemble = ensemble_of(view)
    judged = _family(view, {key: control for key in predicting if (control := control_of(view, key, ensemble))})
    return Results(
        view,
        {key: summarise(view.predictions(key)) for key in predicting},
        judged,
        _progress(view, best, judged),
        best,
        ensemble,
        trust_of(view),
        deployment_frame(view),
    )


def control_of(view: StudyView, key: str, ensemble: Ensemble | None) -> str:
    """What an experiment is compared with; empty when nothing is.

    The plan's control; without one, what was quantised for a quantised model and the best single
    member for the vote chosen on validation.
    """
    planned = view.experiments[key]
    if planned.control:
        return planned.control
    if planned.kind == "Quantization":
        return str(planned.spec["source"])
    return ensemble.best_member if ensemble and key == ensemble.best_vote else ""


def _family(view: StudyView, controls: Mapping[str, str]) -> dict[str, Judged]:
    """Compare every pair and adjust the p-values together."""
    present = {key: control for key, control in controls.items() if _share_seeds(view, key, control)}
    raw = [_judge(view, key, control, ALPHA / len(present)) for key, control in present.items()]
    adjusted = holm([judged.p for judged in raw])
    return {j.key: dataclasses.replace(j, p=float(p)) for j, p in zip(raw, adjusted, strict=True)}


def _share_seeds(view: StudyView, key: str, control: str) -> bool:
    return control in view.experiments and bool(view.paired(key, control)[0])


def _judge(view: StudyView, key: str, control: str, alpha: float) -> Judged:
    # One stream per pair: a comparison must not change because another run came in.
    rng = np.random.default_rng([0, *f"{key} {control}".encode()])
    treated, untreated = view.paired(key, control)
    retrained = _retrained(view.experiments[key])
    comparison = compare(treated, untreated, rng, alpha=alpha, believed=SEED_NOISE if retrained else 0.0)
    return Judged(key, control, comparison, comparison.p, retrained, _seeds(treated, untreated) if retrained else None)


def _seeds(treated: list[Predictions], control: list[Predictions]) -> int | None:
    """Seeds that would show the mean difference, by its spread over the seeds there are, or as published for one.

    None where both sides are right equally often.
    """
    gained = [int(a.correct.sum()) - int(b.correct.sum()) for a, b in zip(treated, control, strict=True)]
    if not sum(gained):
        return None
    differences = np.array(gained) / len(treated[0].labels)
    spread = float(differences.std(ddof=1)) if len(gained) > 1 else SEED_SD
    return seeds_needed(float(differences.mean()), spread)


def _retrained(planned: Planned) -> bool:
    return planned.kind in ("Training", "Search")


def _progress(view: StudyView, best: Mapping[int, str], judged: Mapping[str, Judged]) -> dict[int, Judged]:
    """Each level's selected model against that of the level before, for the levels with a pass mark."""
    marked = [level for level in sorted(best) if str(level) in view.plan["pass_marks"]]
    pairs = {later: (best[later], best[earlier]) for earlier, later in zip(marked, marked[1:], strict=False)}
    known = {key: judged[key] for key, before in pairs.values() if key in judged and judged[key].control == before}
    steps = known | _family(view, {key: before for key, before in pairs.values() if key not in known})
    return {level: steps[key] for level, (key, _) in pairs.items() if key in steps}
