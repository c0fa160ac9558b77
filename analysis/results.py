"""What the statistics say about a study, computed once and read by facts, findings, tables and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.evidence import Verdict
from analysis.statistics.comparison import (
    MARGIN,
    Accuracy,
    Comparison,
    PowerAnalysis,
    adjusted,
    compare,
    difference_squares,
    power_analysis,
    summarise,
)
from analysis.statistics.crossed import ALPHA, Chance, MeanSquares, degrees_together, pooled
from analysis.statistics.deployment import deployment_frame
from analysis.statistics.ensemble import Ensemble, ensemble_of
from analysis.statistics.trust import Trust, trust_of
from analysis.view import StudyView
from study.experiment import Expectation, Experiment


@dataclass(frozen=True)
class Pair:
    """An experiment and its control, with whether each is right, (S, N) bool, seed by seed on the same images.

    ``retrained`` tells whether the two were trained apart, so that chance in training is part of their difference;
    quantising a network or voting with it trains nothing. ``expects`` and ``margin`` are the experiment's: what the
    comparison is to show, and the smallest difference that matters.
    """

    key: str
    control: str
    treated: np.ndarray
    untreated: np.ndarray
    retrained: bool
    expects: Expectation = "gain"
    margin: float = MARGIN


@dataclass(frozen=True)
class Judged:
    """A comparison of an experiment with its control, among a ``family`` of so many.

    ``p`` and ``p_equivalence`` are adjusted over the family (``analysis.statistics.comparison.adjusted``).
    ``retrained`` and ``expects`` are the pair's; ``power`` says what could have been seen.
    """

    key: str
    control: str
    comparison: Comparison
    p: float
    p_equivalence: float
    retrained: bool
    expects: Expectation = "gain"
    family: int = 1
    power: PowerAnalysis | None = None

    @property
    def decidable(self) -> bool:
        """Whether it may end in a verdict: about recipes with seeds enough, about networks where none was retrained."""
        return self.comparison.about == "recipes" or not self.retrained

    @property
    def differs(self) -> int:
        """1 where accuracy is higher than the control's with p (adjusted) below 0.05, -1 where it is lower, else 0.

        Of those whom the comparison is about: it decides nothing about recipes where that is their networks.
        """
        return int(np.sign(self.comparison.difference)) if self.p < ALPHA else 0

    @property
    def change(self) -> int:
        """``differs`` where a verdict may rest on it, else 0; where ``equivalent``, the verdict rests on that."""
        return self.differs if self.decidable else 0

    @property
    def equivalent(self) -> bool:
        """Whether any difference is shown to be smaller than one that matters."""
        return self.decidable and self.p_equivalence < ALPHA

    @property
    def verdict(self) -> Verdict:
        """Whether the comparison shows what it is expected to.

        Where equivalence is shown, the verdict is that, or support where just that is expected, however sure a
        difference is. A gain or loss is supported by a change in its direction and contradicted by one in the other; no
        difference is contradicted by a change whose interval lies beyond the margin.
        """
        c = self.comparison
        if self.equivalent:
            return "supported" if self.expects == "no difference" else "equivalent"
        if self.expects == "no difference":
            beyond = self.change and min(abs(c.low), abs(c.high)) > c.margin
            return "contradicted" if beyond else "inconclusive"
        if not self.change:
            return "inconclusive"
        return "supported" if self.change == (-1 if self.expects == "loss" else 1) else "contradicted"


def chance_in_training(pairs: Sequence[Pair]) -> Chance | None:
    """What the retrained pairs with several seeds show of chance in training, together; None without any."""
    repeated = [pair for pair in pairs if pair.retrained and len(pair.treated) > 1]
    return pooled({(p.key, p.control): difference_squares(p.treated, p.untreated) for p in repeated})


def judge(pairs: Sequence[Pair], chance: Chance | None) -> list[Judged]:
    """Compare every pair and adjust the p-values together."""
    compared = [compare(pair.treated, pair.untreated, pair.retrained, chance, pair.margin) for pair in pairs]
    return [
        Judged(pair.key, pair.control, comparison, p, equivalence, pair.retrained, pair.expects, len(pairs))
        for pair, comparison, (p, equivalence) in zip(pairs, compared, adjusted(compared), strict=True)
    ]


@dataclass(frozen=True)
class Results:
    """Statistics of every experiment that has runs.

    ``judged`` holds the family of comparisons with a control by treated experiment, ``progress``
    those of each level's selected model with the one before, by level, a family of their own but for
    pairs that ``judged`` has; ``best`` is the selected model by level, ``chance`` what repetition tells of training.
    """

    view: StudyView
    accuracies: Mapping[str, Accuracy]
    judged: Mapping[str, Judged]
    progress: Mapping[int, Judged]
    best: Mapping[int, str]
    ensemble: Ensemble | None
    trust: Trust | None
    deployment: pd.DataFrame
    chance: Chance | None = None

    def judged_at(self, level: int) -> list[Judged]:
        """Comparisons of a level's experiments with their controls, in the plan's order."""
        return [judged for key, judged in self.judged.items() if self.view.experiments[key].level == level]


def results_of(view: StudyView) -> Results:
    """Compute everything; what has no runs yet is left out."""
    predicting = [key for key in view.experiments if view.predictions(key)]
    best = {level: key for level in view.levels if (key := view.selected(level))}
    ensemble = ensemble_of(view)
    family = _pairs(view, {key: control for key in predicting if (control := control_of(view, key, ensemble))})
    steps = _steps(view, best)
    known = {(pair.key, pair.control) for pair in family}
    others = [pair for pair in steps if (pair.key, pair.control) not in known]
    chance = chance_in_training([*family, *others]) or _repeated(view)
    judged = _judged(family, chance)
    return Results(
        view,
        {key: summarise(view.predictions(key)) for key in predicting},
        judged,
        _progress(view, judged, steps, chance),
        best,
        ensemble,
        trust_of(view),
        deployment_frame(view),
        chance,
    )


def control_of(view: StudyView, key: str, ensemble: Ensemble | None) -> str:
    """What an experiment is compared with: the plan's control, or for the vote chosen on validation the best member.

    Empty when nothing is.
    """
    return view.experiments[key].control or (ensemble.best_member if ensemble and key == ensemble.best_vote else "")


def _pairs(view: StudyView, controls: Mapping[str, str]) -> list[Pair]:
    """Those of the comparisons whose both sides have runs of the same seeds."""
    present = [(k, c) for k, c in controls.items() if c in view.experiments and view.paired(k, c)[0]]
    return [_pair(view, key, control) for key, control in present]


def _pair(view: StudyView, key: str, control: str) -> Pair:
    experiment = view.experiments[key]
    retrained = experiment.retrained or not _builds_on(experiment, view.experiments[control])
    treated, untreated = view.correct(key, control)
    return Pair(key, control, treated, untreated, retrained, experiment.expects, experiment.margin)


def _builds_on(experiment: Experiment, control: Experiment) -> bool:
    """Whether it makes its predictions with the control's own networks, as a vote with its members does."""
    return control.key in experiment.needs or bool(control.needs) and {*control.needs} <= {*experiment.needs}


def _repeated(view: StudyView) -> Chance | None:
    """What experiments tell of chance in training that were repeated although no comparison was."""
    correct = {(each.key,): [p.correct for p in view.predictions(each.key)] for each in view.trained}
    return pooled({key: MeanSquares.of(np.stack(seeds)) for key, seeds in correct.items() if seeds})


def _judged(pairs: Sequence[Pair], chance: Chance | None) -> dict[str, Judged]:
    """Each pair's comparison by its treated experiment, with what it could have seen."""
    trained: dict[tuple[str, ...], int] = {(pair.key, pair.control): 1 for pair in pairs if pair.retrained}
    per_seed = degrees_together(trained) if trained else 1.0
    alpha = ALPHA / max(1, len(pairs))
    seen = [power_analysis(p.treated, p.untreated, p.retrained, chance, per_seed, alpha, p.margin) for p in pairs]
    return {j.key: dataclasses.replace(j, power=r) for j, r in zip(judge(pairs, chance), seen, strict=True)}


def _steps(view: StudyView, best: Mapping[int, str]) -> list[Pair]:
    """Each level's selected model and that of the level before, for the levels that are steps."""
    marked = [level for level in sorted(best) if view.level[level].step]
    return _pairs(view, {best[later]: best[earlier] for earlier, later in zip(marked, marked[1:], strict=False)})


def _progress(
    view: StudyView, judged: Mapping[str, Judged], steps: Sequence[Pair], chance: Chance | None
) -> dict[int, Judged]:
    """The steps from level to level, each to gain; those that are comparisons anyway are judged once."""
    known = {s.key: judged[s.key] for s in steps if s.key in judged and judged[s.key].control == s.control}
    found = known | _judged([step for step in steps if step.key not in known], chance)
    return {view.experiments[key].level: dataclasses.replace(step, expects="gain") for key, step in found.items()}
