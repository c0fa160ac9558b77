"""Small evidence and plans for tests of the report."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure as Canvas

from analysis.evidence import Evidence, Fact, Figure, Finding, Table

KEYS = ("level1/finetuned", "level2/augmented")


def sample_fact(name: str, text: str = "91.34 %", value: float = 0.9134) -> Fact:
    """A percentage with one source run."""
    return Fact(name, value, "percent", text, "analysis.statistics.accuracy.summarise", ("level1/finetuned/seed-0",))


def sample_figure(name: str = "curves") -> Figure:
    """A line between two points."""

    def draw() -> Canvas:
        canvas = Canvas(figsize=(2, 1))
        canvas.subplots().plot([0, 1], [0, 1], label="loss")
        return canvas

    return Figure(name, "Loss rises.", draw, "a rising line", 0.5)


def sample_plan() -> dict[str, Any]:
    """A plan of two experiments on CIFAR-10."""
    entries = [{"key": key, "level": int(key[5]), "title": key[7:].title(), "control": ""} for key in KEYS]
    dataset = {"name": "cifar10", "title": "CIFAR-10", "notice": "", "stand_in": False}
    return {"study": "sample", "preset": "cpu", "seeds": [0], "dataset": dataset, "experiments": entries}


def sample_evidence(pending: tuple[str, ...] = ()) -> Evidence:
    """One fact, one finding, one table and one figure, all of level 1."""
    fact = sample_fact("accuracy/level1/finetuned")
    finding = Finding("pass-mark/level1", "It passes.", "supported", (fact.name,))
    table = Table("level1", "One row.", ("Model", "Accuracy, %"), (("a & b", "91.34"),), "lr", best=frozenset({(0, 1)}))
    return Evidence(
        {fact.name: fact}, {finding.name: finding}, {table.name: table}, {"curves": sample_figure()}, pending
    )
