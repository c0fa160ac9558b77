"""Which node of a cluster carries out a run: what a run needs, what nodes are, and which of them will do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from study.running.node import Report

GIB = 2**30


@dataclass(frozen=True)
class Needs:
    """What a run takes: threads, bytes of memory, and the share of a GPU, 0 for none."""

    threads: int
    memory: float
    gpu: float = 0.0

    def __str__(self) -> str:
        gpu = ", and a GPU" if self.gpu else ""
        return f"{self.threads} processors and {self.memory / GIB:.1f} GB of memory{gpu}"


@dataclass
class Node:
    """A machine of the cluster: what it says of itself, how many runs it holds at a time, and those under way there."""

    id: str
    report: Report
    cpus: float
    gpus: float
    slots: int
    running: set[str] = field(default_factory=set)
    alone: bool = False

    @classmethod
    def of(cls, id: str, report: Report, has: Mapping[str, float], needs: Needs) -> Node:
        """A node with these resources, as Ray counts them."""
        cpus, gpus = has.get("CPU", 0.0), has.get("GPU", 0.0)
        fits = [cpus // needs.threads, min(has.get("memory", 0.0), report.free_memory) // needs.memory]
        if needs.gpu:
            fits.append(gpus / needs.gpu + 1e-6)  # a third three times is one
        return cls(id, report, cpus, gpus, int(min(fits)))

    @property
    def free(self) -> int:
        """How many more runs it could begin."""
        return 0 if self.alone else self.slots - len(self.running)

    def refusal(self, versions: Mapping[str, str], code: str, needs: Needs) -> str:
        """Why a run would differ from one with these versions and code, or finds no room; empty where neither is so."""
        for name, wanted in versions.items():
            if (found := self.report.versions.get(name)) != wanted:
                return f"it has {name} {found or 'not at all'}, and {wanted} is needed"
        if self.report.code != code:
            return "its copy of this package differs; install the same one"
        if not self.report.refusal and self.slots < 1:
            return f"a run needs {needs}, and it has {self.cpus:.0f} and {self.report.free_memory / GIB:.1f} GB free"
        return self.report.refusal

    def begin(self, name: str, alone: bool) -> None:
        """A run begins there."""
        self.running.add(name)
        self.alone = alone

    def end(self, name: str) -> None:
        """A run has ended there, one way or the other."""
        self.running.discard(name)
        self.alone = False


def place(nodes: Sequence[Node], alone: bool, tried: Collection[str] = ()) -> Node | None:
    """The node with the most room for a run; None when there is no room now.

    Those that lost it before (``tried``, by id) are taken only when there is no other. What needs a machine ``alone``
    is measured on machines of one kind, the most frequent.
    """
    able = list(nodes)
    if alone:
        (usual, _), *_ = Counter(each.report.processor for each in able).most_common(1)
        able = [each for each in able if each.report.processor == usual]
    able = [each for each in able if each.id not in tried] or able
    found = max((each for each in able if not (alone and each.running)), key=lambda each: each.free, default=None)
    return found if found and found.free > 0 else None
