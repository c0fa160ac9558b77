"""From recorded runs to everything the paper may say."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from analysis import fonts, subjects
from analysis.evidence import MAKES, Evidence, Figure, Origin, Table
from analysis.results import Results, results_of
from analysis.view import StudyView, drawable, view_study

Shown = TypeVar("Shown", Table, Figure)


def assemble(study: Path) -> Evidence:
    """What ``evidence_of`` a study there is. Altered runs count as missing. StudyError when there is no study."""
    return evidence_of(view_study(study))


def evidence_of(view: StudyView) -> Evidence:
    """Facts, findings, tables and figures of a study, as far as its runs are complete.

    What is missing is listed as pending: runs by name, then tables and figures as ``table/<name>`` and
    ``figure/<name>``.
    """
    results = results_of(view)
    facts = [fact for maker in makers("facts") for fact in maker(results)]
    findings = {finding.name: finding for maker in makers("findings") for finding in maker(results)}
    tables, figures = dict(_made("table", results)), _drawn(results)
    made = {f"table/{name}": each for name, each in tables.items()}
    made |= {f"figure/{name}": each for name, each in figures.items()}
    return Evidence(
        {fact.name: fact for fact in facts},
        findings,
        _present(tables, view.plan.dataset.notice),
        _present(figures, view.plan.dataset.notice),
        (*view.pending, *(name for name, each in made.items() if each is None)),
        view.failed,
    )


def makers(what: str) -> Iterator[Callable[..., Any]]:
    """The functions of all subjects that are marked to make facts, findings, a table or a figure."""
    for found in pkgutil.iter_modules(subjects.__path__, f"{subjects.__name__}."):
        for function in vars(importlib.import_module(found.name)).values():
            # Another subject's function may be imported there as well.
            if getattr(function, MAKES, "") == what and function.__module__ == found.name:
                yield function


def _made(what: str, results: Results) -> Iterator[tuple[str, Any]]:
    """Every table or figure by name, None for one that is pending."""
    for maker in makers(what):
        made = maker(results)
        single = made is None or isinstance(made, Table | Figure)
        for name, each in [(maker.__name__, made)] if single else made:
            yield name, each and _with_origin(each, maker, results.view)


def _with_origin(made: Table | Figure, maker: Callable[..., Any], view: StudyView) -> Table | Figure:
    """With the runs it is of: those it reads and the caption names, and for a table's row those that the row names."""
    told = runs_named(view, made.caption, *made.reads) or view.names(*view.experiments)
    if not isinstance(made, Table):
        return replace(made, origin=Origin(maker, told))
    rows = tuple(runs_named(view, "\n".join(map(str, row)), *made.reads) or told for row in made.rows)
    return replace(made, origin=Origin(maker, told), row_runs=rows)


def runs_named(view: StudyView, text: str, *more: str) -> tuple[str, ...]:
    """Complete runs of the experiments that a text names by title, phrase or key, and of those with ``more`` keys."""
    called = {name: e.key for e in view.experiments.values() for name in (e.key, e.phrase, e.title) if name}
    longest_first = sorted(map(re.escape, called), key=len, reverse=True)
    found = re.findall(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", text)
    return view.names(*more, *(called[name] for name in found if name))  # where there are none, '' is found


def _drawn(results: Results) -> dict[str, Any]:
    """The figures: captions have the names of classes and experiments as they are, drawings as fonts can show them."""
    figures, names = dict(_made("figure", results)), results.view.names_shown
    if all(fonts.drawable(name) == name and not fonts.families([name]) for name in names):
        return figures
    painted = dict(_made("figure", replace(results, view=drawable(results.view))))
    families = fonts.families(map(fonts.drawable, names))
    return {name: made and replace(made, paint=painted[name].paint, fonts=families) for name, made in figures.items()}


def _present(made: dict[str, Shown | None], notice: str) -> dict[str, Shown]:
    """What is not pending, each with the notice that goes with stand-in data."""
    shown = {name: each for name, each in made.items() if each is not None}
    return {name: replace(each, caption=f"{each.caption} {notice}".strip()) for name, each in shown.items()}
