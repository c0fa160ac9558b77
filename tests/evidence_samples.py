"""Small evidence and plans for tests of the report."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure as Canvas

from analysis.evidence import Evidence, Fact, Figure, Finding, Table
from report.escaping import slug
from report.figures import Drawing
from study.description import DataDescription, Level
from study.kinds import Vote
from study.records import Plan

KEYS = ("level1/finetuned", "level2/augmented")


def sample_fact(name: str, text: str = "91.34 %", value: float = 0.9134) -> Fact:
    """A percentage with one source run."""
    return Fact(name, value, "percent", text, "analysis.statistics.comparison.summarise", ("level1/finetuned/seed-0",))


def sample_figure(name: str = "curves") -> Figure:
    """A line between two points."""

    def draw() -> Canvas:
        canvas = Canvas(figsize=(2, 1))
        canvas.subplots().plot([0, 1], [0, 1], label="loss")
        return canvas

    return Figure(name, "Loss rises.", draw, "a rising line", 0.5)


def sample_plan() -> Plan:
    """A plan of two experiments on CIFAR-10, of which the second is compared with the first."""
    dataset = DataDescription("cifar10", "CIFAR-10", "f" * 64, "e" * 64, ("cat", "dog"), {"test": 2})
    first, second = (Vote(level=int(key[5]), name=key[7:], members=(), rule="hard") for key in KEYS)
    compared = replace(second, control=first.key, group="ingredients")
    levels = (Level(1, "transfer"), Level(2, "regularisation"))
    return Plan("sample", "cpu", "tests", (0,), "cpu", dataset, levels, (first, compared))


def sample_evidence(pending: tuple[str, ...] = ()) -> Evidence:
    """One fact, one finding, one table and one figure, all of level 1."""
    fact = sample_fact("accuracy/level1/finetuned")
    finding = Finding("pass-mark/level1", "It passes.", "supported", (fact.name,))
    table = Table("level1", "One row.", ("Model", "Accuracy, %"), (("a & b", "91.34"),), "lr")
    return Evidence(
        {fact.name: fact}, {finding.name: finding}, {table.name: table}, {"curves": sample_figure()}, pending
    )


def blank_drawing(figure: Figure) -> Drawing:
    """An empty drawing of a figure, which takes no time."""
    return Drawing(slug(figure.name), '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"></svg>', b"")


def blank_drawings(evidence: Evidence) -> dict[str, Drawing]:
    """Empty drawings of all figures."""
    return {name: blank_drawing(figure) for name, figure in evidence.figures.items()}
