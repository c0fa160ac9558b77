"""`invoke diff`: which numbers and verdicts differ between two studies, or a study and a report kept from before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis import formats
from analysis.assemble import assemble
from report import environment
from report.build import CLAIMS, PROVENANCE
from study.errors import StudyError
from study.records import STUDY

# Facts and cells that say how a study was made, by name or the first parts of it, and what they are about.
MADE_OF = {
    "study/commit": "code", "study/fingerprint": "data", "study/seed-list": "seeds", "study/device": "machine",
    "study/threads": "machine", "table/environment": "machine", "study": "study", "version": "software",
    "recipe": "recipe", "setting": "recipe", "answers": "recipe", "protocol": "statistics", "pass-mark": "challenge",
}  # fmt: skip
DATASET = "study/dataset"
SIDES = ("first", "second")


@dataclass(frozen=True)
class Change:
    """What something is in the first and in the second study; empty where only the other has it."""

    name: str
    first: str
    second: str
    by: str = ""


@dataclass(frozen=True)
class Diff:
    """How two studies differ: in what they were made of, in verdicts, and in numbers."""

    made_of: list[Change]
    verdicts: list[Change]
    numbers: list[Change]

    @property
    def same_results(self) -> bool:
        """Whether every verdict and number is the same."""
        return not self.verdicts and not self.numbers

    def tables(self) -> dict[str, tuple[tuple[str, ...], list[Any]]]:
        """Head and rows of a table for each kind of difference that there is, by title."""
        made_of = [(part_of(each.name), each.name, each.first, each.second) for each in self.made_of]
        verdicts = [(each.name, each.first, each.second) for each in self.verdicts]
        numbers = [(each.name, each.first, each.second, each.by) for each in self.numbers]
        titled: dict[str, tuple[tuple[str, ...], list[Any]]] = {
            "What the studies were made of": (("part", "fact", *SIDES), made_of),
            "Verdicts": (("finding", *SIDES), verdicts),
            "Numbers": (("fact or cell", *SIDES, "by"), numbers),
        }
        return {title: table for title, table in titled.items() if table[1]}

    def page(self, first: str, second: str) -> bytes:
        """The tables as a page of HTML that needs nothing else."""
        return environment.page("diff.html.jinja", first=first, second=second, tables=self.tables()).encode()


@dataclass(frozen=True)
class Side:
    """Facts and cells by name, the verdicts of findings, and the sentences of those whose numbers no claim holds."""

    facts: dict[str, Mapping[str, Any]]
    cells: dict[str, Mapping[str, Any]]
    verdicts: dict[str, str]
    sentences: dict[str, str]

    @classmethod
    def of(cls, facts: Any, cells: Any, told: Iterable[Mapping[str, Any]]) -> Side:  # noqa: ANN401 - JSON
        """From entries of what was computed, and from findings."""
        found = {each["name"]: each for each in told}
        verdicts = {name: each["verdict"] for name, each in found.items()}
        sentences = {name: each["sentence"] for name, each in found.items() if not each["claim"]}
        return cls(_named(facts), _named(cells), verdicts, sentences)


def part_of(name: str) -> str:
    """What part of a study's making a fact is about; empty for one that is a result."""
    parts = name.split("/")
    return next((MADE_OF[each] for each in (name, "/".join(parts[:2]), parts[0]) if each in MADE_OF), "")


def find(name: str, runs: Path) -> Path:
    """The folder of a study by its name, or of a study or saved report by its path. StudyError when there is none."""
    path = Path(name)
    for folder in (runs / name, path.parent if path.is_file() else path):
        if any((folder / file).is_file() for file in (STUDY, PROVENANCE)):
            return folder
    raise StudyError(f"{name} is neither a study in {runs} nor a folder with a study or a saved report")


def diff(first: Path, second: Path) -> Diff:
    """Compare two folders, each of a study or of a saved report. StudyError when they are of different datasets."""
    one, other = read(first), read(second)
    of = [side.facts.get(DATASET, {}).get("text", "no known dataset") for side in (one, other)]
    if of[0] != of[1]:
        raise StudyError(f"{first} is of {of[0]} and {second} of {of[1]}; only studies of one dataset can be compared")
    facts = list(_changes(one.facts, other.facts, one.facts.keys() | other.facts.keys()))
    # A saved report holds only the cells of the tables in it.
    changes = facts + list(_changes(one.cells, other.cells, one.cells.keys() & other.cells.keys()))
    made_of = [change for change in changes if part_of(change.name)]
    numbers = [change for change in changes if change not in made_of]
    # A saved report holds only the findings that it tells.
    flips = list(_flips(one.verdicts, other.verdicts, one.verdicts.keys() & other.verdicts.keys()))
    told = one.sentences.keys() & other.sentences.keys() - {flip.name for flip in flips}
    return Diff(made_of, flips, numbers + list(_flips(one.sentences, other.sentences, told)))


def _flips(first: Mapping[str, str], second: Mapping[str, str], names: set[str]) -> Iterator[Change]:
    pairs = ((name, first[name], second[name]) for name in sorted(names))
    return (Change(*each) for each in pairs if each[1] != each[2])


def read(folder: Path) -> Side:
    """What the records of a study, or the lists of a saved report, say."""
    if (folder / STUDY).is_file():
        evidence = assemble(folder)
        cells = (fact for table in evidence.tables.values() for fact in table.facts)
        return Side.of(*(map(asdict, each) for each in (evidence.facts.values(), cells, evidence.findings.values())))
    try:
        provenance, claims = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (PROVENANCE, CLAIMS))
        return Side.of(provenance["facts"], provenance["cells"], claims["findings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{folder} holds no whole report ({error!r}); write it again with `invoke report`") from error


def _named(entries: Any) -> dict[str, Mapping[str, Any]]:  # noqa: ANN401 - JSON
    return {entry["name"]: entry for entry in entries if not entry["name"].startswith("caption/")}


def _changes(
    first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]], names: set[str]
) -> Iterator[Change]:
    for name in sorted(names):
        one, other = first.get(name, {}), second.get(name, {})
        if one.get("text") != other.get("text"):
            yield Change(name, one.get("text", ""), other.get("text", ""), _by(one.get("value"), other.get("value")))


def _by(first: object, second: object) -> str:
    """How much more the second number is, relative to the first."""
    numbers = [value for value in (first, second) if isinstance(value, int | float) and math.isfinite(value)]
    if len(numbers) < 2 or not numbers[0]:
        return ""
    before, after = numbers
    return f"{formats.signed(100 * (after - before) / abs(before), 1)} %"
