"""Facts, findings, tables and figures by name: found, pending or misspelt; and where printed ones come from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from analysis.evidence import Evidence, Fact, Figure, Finding, Table
from study.errors import StudyError
from study.experiment import Experiment
from study.records import Level, Plan

Found = TypeVar("Found")
RUNS_IN_FULL = 2  # more runs than this are counted by experiment; provenance.json names them all


@dataclass
class Lookup:
    """What the templates may ask for; remembers which facts and findings were printed.

    An experiment is pending while a run of it is in ``evidence.pending``.
    """

    evidence: Evidence
    plan: Plan
    used: dict[str, Fact] = field(default_factory=dict)
    told: dict[str, Finding] = field(default_factory=dict)

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

    def fact(self, name: str) -> Fact | None:
        """The fact, counted as printed; None while its runs are missing; StudyError when misspelt."""
        found = self._find(self.evidence.facts, name, "fact")
        if found:
            self.used[name] = found
        return found

    def finding(self, name: str) -> Finding | None:
        """The finding, its facts counted as printed; None while its runs are missing."""
        found = self._find(self.evidence.findings, name, "finding")
        if found:
            self.told[name] = found
            self.used |= {fact: self.evidence.facts[fact] for fact in found.facts}
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
        """The table, or None while its runs are missing; StudyError when misspelt."""
        return self._find(self.evidence.tables, name, "table")

    def figure(self, name: str) -> Figure | None:
        """The figure, or None while its runs are missing; StudyError when misspelt."""
        return self._find(self.evidence.figures, name, "figure")

    def known(self, name: str) -> bool:
        """Whether there is a fact, finding, table or figure of this name: for optional parts."""
        shelves = (self.evidence.facts, self.evidence.findings, self.evidence.tables, self.evidence.figures)
        return any(name in shelf for shelf in shelves)

    def tellable(self, name: str) -> bool:
        """Whether the finding is there or may still come: a complete study may have no such finding."""
        return name in self.evidence.findings or self._may_come(name)

    def possible(self, name: str) -> bool:
        """Whether the name is there or may still come: for what some complete studies do not have."""
        return self.known(name) or self._may_come(name)

    @property
    def provenance(self) -> dict[str, Any]:
        """Facts and findings that were printed, JSON-ready and sorted by name."""
        facts, findings = ([asdict(shelf[name]) for name in sorted(shelf)] for shelf in (self.used, self.told))
        return {"study": self.plan.study, "facts": facts, "findings": findings}

    def fact_list(self) -> Table:
        """The appendix's table of the facts printed so far, by name."""
        rows = tuple((f.name, f.text, f.function, _runs(f.runs)) for _, f in sorted(self.used.items()))
        caption = f"{len(rows)} facts are printed in this paper; those without runs come from the plan."
        caption = f"{caption} {self.plan.dataset.notice}".strip()
        return Table("facts", caption, ("Fact", "As printed", "Computed by", "From"), rows, "llll")

    @property
    def commands(self) -> list[str]:
        """The commands that rerun the study and rebuild the paper."""
        plan = self.plan
        seeds = ",".join(map(str, plan.seeds))
        options = f"--preset {plan.preset} --seeds {seeds} --dataset {plan.dataset.name}"
        return [f"invoke study {options} --study {plan.study}", f"invoke report --study {plan.study}"]


def _runs(runs: Sequence[str]) -> str:
    if len(runs) > RUNS_IN_FULL:
        experiments = {run.rpartition("/")[0] for run in runs}
        return next(iter(experiments)) + ", all seeds" if len(experiments) == 1 else f"{len(runs)} runs"
    return ", ".join(runs) or "plan"
