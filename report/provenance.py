"""Where every printed number comes from, and how to make it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.evidence import Fact, Table
from report.lookup import Lookup

RUNS_IN_FULL = 2  # more runs than this are counted by experiment; provenance.json names them all


def provenance(lookup: Lookup) -> dict[str, Any]:
    """Facts and findings that were printed, JSON-ready and sorted by name."""
    facts = [dataclasses.asdict(lookup.used[name]) for name in sorted(lookup.used)]
    findings = [dataclasses.asdict(lookup.told[name]) for name in sorted(lookup.told)]
    return {"study": lookup.plan["study"], "facts": facts, "findings": findings}


def fact_list(facts: Iterable[Fact], notice: str = "") -> Table:
    """The appendix's table of facts, by name; ``notice`` is the sentence stand-in data need."""
    ordered = sorted(facts, key=lambda fact: fact.name)
    rows = tuple((fact.name, fact.text, fact.function, _runs(fact.runs)) for fact in ordered)
    caption = f"{len(rows)} facts are printed in this paper; those without runs come from the plan. {notice}"
    return Table("facts", caption.strip(), ("Fact", "As printed", "Computed by", "From"), rows, "llll")


def _runs(runs: Sequence[str]) -> str:
    if len(runs) > RUNS_IN_FULL:
        experiments = {run.rpartition("/")[0] for run in runs}
        return next(iter(experiments)) + ", all seeds" if len(experiments) == 1 else f"{len(runs)} runs"
    return ", ".join(runs) or "plan"


def commands(plan: Mapping[str, Any]) -> list[str]:
    """The commands that rerun the study and rebuild the paper."""
    name = plan["study"]
    seeds, data = ",".join(map(str, plan["seeds"])), plan["dataset"]["name"]
    options = f"--preset {plan['preset']} --seeds {seeds} --dataset {data}"
    return [
        f"invoke study {options} --study {name}",
        f"invoke report --study {name}",
    ]
