"""Facts, findings, tables and figures by name: found, still pending, or misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from analysis.evidence import Evidence, Fact, Figure, Finding, Table
from study.errors import StudyError

Found = TypeVar("Found")


@dataclass
class Lookup:
    """What the templates may ask for; remembers which facts and findings were printed.

    ``plan`` is study.json; an experiment is pending while its key is in ``evidence.pending``.
    """

    evidence: Evidence
    plan: Mapping[str, Any]
    used: dict[str, Fact] = field(default_factory=dict)
    told: dict[str, Finding] = field(default_factory=dict)

    @property
    def planned_keys(self) -> list[str]:
        """Keys of all experiments of the study, in order."""
        return [experiment["key"] for experiment in self.plan["experiments"]]

    def pending(self, key: str) -> bool:
        """Whether runs of a planned experiment, or of any experiment of a level, are missing."""
        return any(_within(name, key) for name in self.evidence.pending)

    def planned(self, key: str) -> bool:
        """Whether the study has this experiment (``level2/search``) or level (``level2``)."""
        return any(_within(name, key) for name in self.planned_keys)

    @property
    def unfinished(self) -> bool:
        """Whether any planned run is missing."""
        return any(self.pending(key) for key in self.planned_keys)

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
        keys = [key for key in self.planned_keys if f"difference/{key}" in findings]
        chosen = (key for key in keys if findings[f"difference/{key}"].verdict == verdict)
        return sorted(chosen, key=lambda key: float(self.evidence.facts[f"p/{key}"].value))

    def controlled(self, level: int) -> list[str]:
        """Keys of a level's experiments that name a control."""
        entries = (entry for entry in self.plan["experiments"] if entry["level"] == level)
        return [entry["key"] for entry in entries if entry["control"]]

    def undecided(self, keys: Iterable[str]) -> list[str]:
        """Those of the experiments whose comparison with the control is inconclusive."""
        return [key for key in keys if key in self.ranked("inconclusive")]

    def title(self, key: str) -> str:
        """An experiment's name in print."""
        return next(entry["title"] for entry in self.plan["experiments"] if entry["key"] == key)

    def _find(self, shelf: Mapping[str, Found], name: str, what: str) -> Found | None:
        if name in shelf:
            return shelf[name]
        if f"{what}/{name}" in self.evidence.pending or self._may_come(name):
            return None
        near = ", ".join(difflib.get_close_matches(name, shelf, 3)) or "none is close"
        raise StudyError(f"the templates ask for the {what} {name!r}, which does not exist; nearest: {near}")

    def _may_come(self, name: str) -> bool:
        """A name with a planned experiment waits for its runs and its control's, any other for any run."""
        entries = [entry for entry in self.plan["experiments"] if f"/{entry['key']}/" in f"/{name}/"]
        keys = [entry[field] for entry in entries for field in ("key", "control") if entry[field]]
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


def _within(name: str, key: str) -> bool:
    """Whether a run or experiment belongs to an experiment or level: ``level2/plain/seed-0`` to ``level2``."""
    return name == key or name.startswith(f"{key}/")
