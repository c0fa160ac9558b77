"""Which node of a cluster carries out a run, and which are refused: nothing here needs Ray."""

from __future__ import annotations

from dataclasses import replace

import pytest

from study.running.node import Report
from study.running.placement import GIB, Needs, Node, place

HERE = Report("here", "Fast", {"python": "3.11.7", "torch": "2.14.1"}, "digest", 8.0 * GIB, shared=True)
NEEDS = Needs(threads=2, memory=2.0 * GIB)
EIGHT = {"CPU": 8.0, "memory": 64.0 * GIB}


def node(name: str = "n", report: Report = HERE, needs: Needs = NEEDS, **has: float) -> Node:
    return Node.of(name, report, EIGHT | has, needs)


@pytest.mark.parametrize(
    ("has", "free_gib", "needs", "slots"),
    [
        ({}, 64, NEEDS, 4),  # eight processors, two each
        ({"CPU": 5.0}, 64, NEEDS, 2),
        ({}, 5, NEEDS, 2),  # what others left of the memory
        ({"memory": 3.0 * GIB}, 64, NEEDS, 1),  # what Ray may give away of it
        ({"GPU": 2.0}, 64, replace(NEEDS, gpu=1.0), 2),
        ({"GPU": 1.0}, 64, replace(NEEDS, gpu=1 / 3), 3),
        ({}, 64, replace(NEEDS, gpu=1.0), 0),
    ],
)
def test_a_node_holds_as_many_runs_as_its_scarcest_resource(
    has: dict[str, float], free_gib: int, needs: Needs, slots: int
) -> None:
    assert node(report=replace(HERE, free_memory=free_gib * GIB), needs=needs, **has).slots == slots


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"versions": {"python": "3.12.1", "torch": "2.14.1"}}, "it has python 3.12.1, and 3.11.7 is needed"),
        ({"versions": {"python": "3.11.7"}}, "it has torch not at all, and 2.14.1 is needed"),
        ({"code": "another"}, "its copy of this package differs; install the same one"),
        ({"refusal": "device 'cuda' is not available here"}, "device 'cuda' is not available here"),
        ({"free_memory": GIB}, "a run needs 2 processors and 2.0 GB of memory, and it has 8 and 1.0 GB free"),
    ],
)
def test_a_node_that_differs_or_is_too_small_is_refused_in_one_line(changes: dict[str, object], says: str) -> None:
    assert node(report=replace(HERE, **changes)).refusal(HERE.versions, HERE.code, NEEDS) == says  # type: ignore[arg-type]


def test_a_run_goes_where_most_room_is() -> None:
    small, large = node("small", CPU=4.0), node("large")
    for expected in (large, large, small, large, small, large):
        chosen = place([small, large], alone=False)
        assert chosen is expected
        chosen.begin(f"run-{len(chosen.running)}", alone=False)
    assert place([small, large], alone=False) is None
    small.end("run-0")
    assert place([small, large], alone=False) is small


def test_what_is_alone_gets_an_idle_node_and_keeps_others_out() -> None:
    busy, idle = node("busy"), node("idle")
    busy.begin("other", alone=False)
    chosen = place([busy, idle], alone=True)
    assert chosen is idle
    idle.begin("latency", alone=True)
    assert place([idle], alone=False) is None and place([busy, idle], alone=True) is None
    idle.end("latency")
    assert place([idle], alone=True) is idle
    large = node("large", CPU=8.0)
    large.begin("other", alone=False)
    assert place([large, idle], alone=True) is idle, "even where the other has more room"


def test_what_is_alone_is_measured_on_the_most_frequent_kind_of_node() -> None:
    nodes = [node("odd", replace(HERE, processor="Odd"), CPU=64.0), node("a", CPU=4.0), node("b", CPU=4.0)]
    assert place(nodes, alone=False) is nodes[0] and place(nodes, alone=True) is nodes[1]


def test_a_run_avoids_the_node_that_lost_it_where_there_is_another() -> None:
    first, second = node("first"), node("second", CPU=4.0)
    assert place([first, second], alone=False, tried={"first"}) is second
    assert place([first], alone=False, tried={"first"}) is first
