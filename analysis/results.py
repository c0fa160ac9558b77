"""What the statistics say about a study, computed once and read by facts, findings, tables and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.evidence import Verdict
from analysis.statistics.comparison import ALPHA, Accuracy, Comparison, compare, holm, seeds_needed, summarise
from analysis.statistics.deployment import deployment_frame
from analysis.statistics.ensemble import Ensemble, ensemble_of
from analysis.statistics.trust import Trust, trust_of
from analysis.view import StudyView
from study.experiment import Expectation
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
    ``expects`` and ``margin`` are the experiment's: what the comparison is to show.
    """

    key: str
    control: str
    comparison: Comparison
    p: float
    retrained: bool
    seeds_needed: int | None = None
    expects: Expectation = "gain"
    margin: float = 0.0

    @property
    def noisy(self) -> bool:
        """Whether the difference is one that a single seed of retrained networks cannot tell from chance in training.

        Whatever p says about the images.
        """
        return self.retrained and self.comparison.seeds == 1 and abs(self.comparison.difference) < SEED_NOISE

    @property
    def change(self) -> int:
        """1 where accuracy is higher than the control's with p (adjusted) below 0.05, -1 where it is lower, else 0."""
        detected = self.p < ALPHA and not self.noisy
        return int(np.sign(self.comparison.difference)) if detected else 0

    @property
    def verdict(self) -> Verdict:
        """Whether the comparison shows what it is expected to.

        A gain or loss is supported by a detected change in its direction and contradicted by one in the other; no loss
        is supported by an interval above ``-margin`` and contradicted by one below.
        """
        if self.expects == "no loss":
            supported, contradicted = self.comparison.low > -self.margin, self.comparison.high < -self.margin
        else:
            direction = -1 if self.expects == "loss" else 1
            supported, contradicted = self.change == direction, self.change == -direction
        return "supported" if supported else "contradicted" if contradicted else "inconclusive"


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
    """What an experiment is compared with: the plan's control, or for the vote chosen on validation the best member.

    Empty when nothing is.
    """
    return view.experiments[key].control or (ensemble.best_member if ensemble and key == ensemble.best_vote else "")


def _family(view: StudyView, controls: Mapping[str, str]) -> dict[str, Judged]:
    """Compare every pair and adjust the p-values together."""
    present = {
        k: control for k, control in controls.items() if control in view.experiments and view.paired(k, control)[0]
    }
    raw = [_judge(view, key, control, ALPHA / len(present)) for key, control in present.items()]
    adjusted = holm([judged.p for judged in raw])
    return {j.key: dataclasses.replace(j, p=float(p)) for j, p in zip(raw, adjusted, strict=True)}


def _judge(view: StudyView, key: str, control: str, alpha: float) -> Judged:
    # One stream per pair: a comparison must not change because another run came in.
    rng = np.random.default_rng([0, *f"{key} {control}".encode()])
    treated, untreated = view.paired(key, control)
    experiment = view.experiments[key]
    retrained = experiment.trained is not None
    comparison = compare(treated, untreated, rng, alpha=alpha, believed=SEED_NOISE if retrained else 0.0)
    needed = _seeds(treated, untreated) if retrained else None
    return Judged(key, control, comparison, comparison.p, retrained, needed, experiment.expects, experiment.margin)


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


def _progress(view: StudyView, best: Mapping[int, str], judged: Mapping[str, Judged]) -> dict[int, Judged]:
    """Each level's selected model against that of the level before, to gain, for the levels that are steps."""
    marked = [level for level in sorted(best) if view.level[level].step]
    pairs = {later: (best[later], best[earlier]) for earlier, later in zip(marked, marked[1:], strict=False)}
    known = {key: judged[key] for key, before in pairs.values() if key in judged and judged[key].control == before}
    steps = known | _family(view, {key: before for key, before in pairs.values() if key not in known})
    found = {level: steps[key] for level, (key, _) in pairs.items() if key in steps}
    return {level: dataclasses.replace(step, expects="gain") for level, step in found.items()}
