"""From recorded runs to everything the paper may say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from analysis import facts, protocol_facts, section_facts, tables
from analysis.evidence import Evidence, Fact, Figure, Finding, Table
from analysis.fact_makers import number_fact
from analysis.figures import builders, gradcam
from analysis.findings import all_findings
from analysis.gradcam import Gallery, gallery
from analysis.results import Results, results_of
from analysis.view import StudyView, view_study

FACTS = (
    facts.study_facts,
    facts.accuracy_facts,
    facts.comparison_facts,
    facts.level_facts,
    facts.recipe_facts,
    protocol_facts.protocol_facts,
    protocol_facts.training_facts,
    protocol_facts.spec_facts,
    section_facts.class_facts,
    section_facts.search_facts,
    section_facts.ensemble_facts,
    section_facts.trust_facts,
    section_facts.label_facts,
    section_facts.deployment_facts,
)


def assemble(study: Path) -> Evidence:
    """Facts, findings, tables and figures of a study, as far as its runs are complete.

    What is missing is listed as pending: runs by name, then tables and figures as ``table/<name>`` and
    ``figure/<name>``. Altered runs count as missing. StudyError when there is no study.
    """
    view = view_study(study)
    results = results_of(view)
    explained = gallery(view, gradcam.subjects(results))
    findings = all_findings(results)
    built, missing_tables = _tables(results, findings)
    drawn, missing_figures = _figures(results, findings, explained)
    known = [fact for group in FACTS for fact in group(results)] + list(_road_facts(explained))
    known += protocol_facts.verdict_facts(results, findings)
    return Evidence(
        {fact.name: fact for fact in known},
        findings,
        {name: _with_notice(view, table) for name, table in built.items()},
        {name: _figure_with_notice(view, figure) for name, figure in drawn.items()},
        (*view.pending, *missing_tables, *missing_figures),
    )


def _tables(results: Results, findings: dict[str, Finding]) -> tuple[dict[str, Table], list[str]]:
    made = {name: build(results, findings) for name, build in tables.builders().items()}
    missing = [f"table/{name}" for name, table in made.items() if table is None]
    return {name: table for name, table in made.items() if table is not None}, missing


def _figures(
    results: Results, findings: dict[str, Finding], explained: Gallery | None
) -> tuple[dict[str, Figure], list[str]]:
    made = {name: build(results, findings) for name, build in builders().items()}
    made["gradcam"] = gradcam.build(results, explained)
    missing = [f"figure/{name}" for name, figure in made.items() if figure is None]
    return {name: figure for name, figure in made.items() if figure is not None}, missing


def _road_facts(explained: Gallery | None) -> Iterator[Fact]:
    if explained is not None:
        for run, score in zip(explained.runs, explained.faithfulness, strict=True):
            yield number_fact(f"road/{run.key}", score, "analysis.gradcam.road", (run.name,))


def _with_notice(view: StudyView, table: Table) -> Table:
    return replace(table, caption=f"{table.caption} {view.notice}".strip())


def _figure_with_notice(view: StudyView, figure: Figure) -> Figure:
    return replace(figure, caption=f"{figure.caption} {view.notice}".strip())
