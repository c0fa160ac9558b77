"""Facts, findings, tables and figures by name: found, pending or misspelt; and where printed ones come from."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from analysis.evidence import Evidence, Fact, Figure, Finding, Table
from report.settings import Settings
from study.description import Level
from study.errors import StudyError
from study.experiment import Experiment
from study.records import Plan

Found = TypeVar("Found")
Float = TypeVar("Float", Table, Figure)
LINE = 68  # characters of a command on a line, a continuation's backslash left out
RUNS_IN_FULL = 2  # more runs than this are counted by experiment; provenance.json names them all


@dataclass
class Lookup:
    """What the templates may ask for; remembers what was printed.

    An experiment is pending while a run of it is in ``evidence.pending``.
    """

    evidence: Evidence
    plan: Plan
    used: dict[str, Fact] = field(default_factory=dict)
    told: dict[str, Finding] = field(default_factory=dict)
    shown: dict[str, Table | Figure] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """All experiments of the study by key, in order."""
        return {experiment.key: experiment for experiment in self.plan.experiments}

    @property
    def levels(self) -> list[Level]:
        """The levels of which the study has experiments, ascending."""
        return [level for level in self.plan.levels if self.planned(f"level{level.number}")]

    def pending(self, key: str) -> bool:
        """Whether runs of a planned experiment, or of any experiment of a level, are missing."""
        return any(f"{name}/".startswith(f"{key}/") for name in self.evidence.pending)

    def planned(self, key: str) -> bool:
        """Whether the study has this experiment (``level2/search``) or level (``level2``)."""
        return any(f"{name}/".startswith(f"{key}/") for name in self.experiments)

    @property
    def unfinished(self) -> bool:
        """Whether any planned run is missing."""
        return any(map(self.pending, self.experiments))

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the runs that failed."""
        return self.evidence.failed

    def missing(self, name: str) -> str:
        """Why something is not there: a run of the experiment it names "failed", or is "pending"."""
        broken = {run.rpartition("/")[0] for run in self.failed}
        return "failed" if any(f"/{key}/" in f"/{name}/" for key in broken) else "pending"

    def fact(self, name: str) -> Fact | None:
        """The fact, counted as printed; None while its runs are missing; StudyError when misspelt."""
        found = self._find(self.evidence.facts, name, "fact")
        if found:
            self.used[name] = found
        return found

    def finding(self, name: str) -> Finding | None:
        """The finding, counted as printed; None while its runs are missing."""
        found = self._find(self.evidence.findings, name, "finding")
        if found:
            self.told[name] = found
        return found

    def ranked(self, verdict: str) -> list[str]:
        """Keys of the experiments compared with a control to this verdict, the strongest evidence first."""
        findings = self.evidence.findings
        keys = [key for key in self.experiments if f"difference/{key}" in findings]
        chosen = (key for key in keys if findings[f"difference/{key}"].verdict == verdict)
        return sorted(chosen, key=lambda key: float(self.evidence.facts[f"p/{key}"].value))

    def compared(self, level: int, *groups: str) -> list[str]:
        """Keys of a level's experiments that name a control and whose comparison is of one of these groups."""
        return [key for key in self.others(level) if self.experiments[key].group in groups]

    def others(self, level: int, *groups: str) -> list[str]:
        """Keys of a level's experiments that name a control and whose comparison is of none of these groups."""
        ours = [each for each in self.experiments.values() if each.level == level and each.group not in groups]
        return [each.key for each in ours if each.control in self.experiments]  # a study of some levels may lack it

    def undecided(self, keys: Iterable[str]) -> list[str]:
        """Those of the experiments whose comparison with their control is undecided.

        Where no difference is expected, an inconclusive comparison may have detected one.
        """
        open_ones = self.ranked("inconclusive")
        return [key for key in keys if key in open_ones and self.experiments[key].expects != "no difference"]

    def _find(self, shelf: Mapping[str, Found], name: str, what: str) -> Found | None:
        if name in shelf:
            return shelf[name]
        if f"{what}/{name}" in self.evidence.pending or self._may_come(name):
            return None
        near = ", ".join(difflib.get_close_matches(name, shelf, 3)) or "none is close"
        raise StudyError(f"the templates ask for the {what} {name!r}, which does not exist; nearest: {near}")

    def _may_come(self, name: str) -> bool:
        """A name with a planned experiment waits for its runs and its control's, any other for any run."""
        named = [each for each in self.experiments.values() if f"/{each.key}/" in f"/{name}/"]
        keys = [key for each in named for key in (each.key, each.control) if key]
        return any(self.pending(key) for key in keys) if keys else self.unfinished

    def table(self, name: str) -> Table | None:
        """The table, counted as printed; None while its runs are missing; StudyError when misspelt."""
        return self._shown(self._find(self.evidence.tables, name, "table"))

    def figure(self, name: str) -> Figure | None:
        """The figure, counted as printed; None while its runs are missing; StudyError when misspelt."""
        return self._shown(self._find(self.evidence.figures, name, "figure"))

    def _shown(self, found: Float | None) -> Float | None:
        if found:
            self.shown[found.label] = found
        return found

    def known(self, name: str) -> bool:
        """Whether there is a fact, finding, table or figure of this name: for optional parts."""
        shelves = (self.evidence.facts, self.evidence.findings, self.evidence.tables, self.evidence.figures)
        return any(name in shelf for shelf in shelves)

    def tellable(self, name: str) -> bool:
        """Whether the finding is there or may still come: a complete study may have no such finding."""
        return name in self.evidence.findings or (self._may_come(name) and not self._settled(name))

    def _settled(self, name: str) -> bool:
        """Whether what a finding would be about is there: all runs of its level, or other findings of its subject."""
        if levels := re.findall(r"level\d+", name):
            return not any(map(self.pending, levels))
        return any(other.startswith(f"{name.partition('/')[0]}/") for other in self.evidence.findings)

    def possible(self, name: str) -> bool:
        """Whether the name is there or may still come: for what some complete studies do not have."""
        return self.known(name) or self._may_come(name)

    @property
    def printed_in(self) -> dict[str, str]:
        """Where each fact is printed, by name: in the text, else as part of a finding, else nowhere."""
        told = {name for finding in self.told.values() for name in finding.facts}
        return {n: "text" if n in self.used else "finding" if n in told else "" for n in sorted(self.evidence.facts)}

    @property
    def provenance(self) -> dict[str, Any]:
        """Facts, those not printed too, and the cells and captions shown, JSON-ready and sorted by name."""
        facts = [asdict(self.evidence.facts[name]) | {"printed in": where} for name, where in self.printed_in.items()]
        cells = [asdict(fact) for each in self.shown.values() for fact in each.facts]
        return {"study": self.plan.study, "facts": facts, "cells": sorted(cells, key=lambda cell: cell["name"])}

    @property
    def claims(self) -> dict[str, Any]:
        """Findings that were printed, each with its claim, JSON-ready and sorted by name."""
        return {"study": self.plan.study, "findings": [asdict(self.told[name]) for name in sorted(self.told)]}

    @property
    def orphans(self) -> list[str]:
        """Findings, tables and figures that were made and not printed.

        A finding may be told by its first fact alone.
        """
        tables, figures = self.evidence.tables.values(), self.evidence.figures.values()
        made = [*(each.label for each in tables), *(each.label for each in figures)]
        untold = (each for each in self.evidence.findings.values() if each.name not in self.told)
        made += [f"finding {each.name}" for each in untold if not {*each.facts[:1]} & {*self.used}]
        return [label for label in made if label not in self.shown]

    def fact_list(self) -> Table:
        """Every fact by name, and whether the text or a finding prints it."""
        where, facts = self.printed_in, self.evidence.facts
        rows = tuple((n, facts[n].text, place, facts[n].function, _runs(facts[n].runs)) for n, place in where.items())
        printed = len(rows) - list(where.values()).count("")
        caption = f"The paper prints {printed} of {len(rows)} facts; those without runs come from the plan."
        caption = f"{caption} {self.plan.dataset.notice}".strip()
        return Table("facts", caption, ("Fact", "Value", "Printed in", "Computed by", "From"), rows, "lllll")

    @property
    def commands(self) -> list[str]:
        """The commands that rerun the study and rebuild the paper."""
        plan, data = self.plan, self.plan.dataset
        flags = {
            "preset": plan.preset,
            "seeds": ",".join(map(str, plan.seeds)),
            "dataset": data.source,
            "description": data.described_by,
            "ood": data.ood_from,
            "device": plan.device,
            "study": plan.study,
        }
        given = [part for name, value in flags.items() if value for part in (f"--{name}", value)]
        switches = self.evidence.facts.get("study/switches")
        given += switches.text.split() if switches else []
        return [shlex.join(["invoke", "study", *given]), shlex.join(["invoke", "report", "--study", plan.study])]

    @property
    def command_lines(self) -> list[str]:
        """The same in lines that fit a page, which a shell reads as they are."""
        lines: list[str] = []
        for command in self.commands:
            lines.append("")
            for part in map(shlex.quote, shlex.split(command)):
                if len(lines[-1]) + len(part) > LINE:
                    lines[-1] += " \\"
                    lines.append("   ")
                lines[-1] += f" {part}" if lines[-1] else part
        return lines


def _runs(runs: Sequence[str]) -> str:
    if len(runs) > RUNS_IN_FULL:
        experiments = {run.rpartition("/")[0] for run in runs}
        return next(iter(experiments)) + ", all seeds" if len(experiments) == 1 else f"{len(runs)} runs"
    return ", ".join(runs) or "plan"
