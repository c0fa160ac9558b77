"""What more seeds would decide, from what a study has recorded so far: for `invoke study --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis import formats
from analysis.results import Judged, Results, results_of
from analysis.view import view_study
from study.errors import StudyError
from study.records import STUDY

MILESTONES = (3, 5, 10)


def outlook(folder: Path) -> list[str]:
    """Lines about the recipes' comparisons: how many are decided, and which would be by how many seeds.

    As planning goes, differences and variances are taken to be as they look now, and "likely" is a power of 80 %.
    """
    if not (folder / STUDY).is_file():
        return ["no records yet: once a seed has run, this says which verdicts more seeds would likely decide"]
    try:
        results = results_of(view_study(folder))
    except StudyError as error:  # an older version's records, which the next study redoes
        return [f"no outlook on verdicts: {error}"]
    retrained = [judged for judged in results.judged.values() if judged.retrained]
    if not retrained:
        return ["no comparison is recorded yet: once one is, this says which verdicts more seeds would likely decide"]
    seeds = max(judged.comparison.seeds for judged in retrained)
    open_ones = [judged for judged in retrained if judged.verdict == "inconclusive"]
    decided = f"{len(retrained) - len(open_ones)} of {len(retrained)} comparisons of recipes are decided"
    lines = [f"{decided} with {formats.plural(seeds, 'seed')}; if differences and variances are as they look now,"]
    return lines + _by_milestone(results, open_ones)


def _by_milestone(results: Results, open_ones: Sequence[Judged]) -> list[str]:
    """What each milestone would likely decide that the one before would not, and what none would.

    The first is beyond the comparison with the fewest seeds: a study may have more of some runs than of others.
    """
    needed = {judged.key: _needed(judged) for judged in open_ones}
    lines, before = [], min((judged.comparison.seeds for judged in open_ones), default=MILESTONES[-1])
    for milestone in (each for each in MILESTONES if each > before):
        named = [key for key, number in needed.items() if number and before < number <= milestone]
        lines.append(f"  {milestone} seeds would likely decide {_named(results, named)}")
        before = milestone
    later = [key for key, number in needed.items() if number and number > before]
    never = [key for key, number in needed.items() if number is None]
    lines += [f"  more seeds still: {_named(results, later, needed)}"] if later else []
    lines += [f"  no number of seeds on these test images: {_named(results, never)}"] if never else []
    return lines


def _needed(judged: Judged) -> int | None:
    """The seeds that would likely show the difference seen, or that it does not matter."""
    seen = judged.power
    numbers = [number for number in (seen.seeds, seen.equivalent) if number] if seen else []
    return min(numbers, default=None)


def _named(results: Results, keys: Sequence[str], needed: dict[str, int | None] | None = None) -> str:
    names = [f"{results.view.title(key)} ({needed[key]})" if needed else results.view.title(key) for key in keys]
    return formats.listing(names) or "none of them"
