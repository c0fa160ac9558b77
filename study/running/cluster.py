"""The executor that carries out runs on the machines of a Ray cluster (https://docs.ray.io/en/latest/ray-core).

Each run is one task of Ray, placed by this file on a node of its choice, so that a run that lost its node can be tried
on another one. Names and options are passed, and no task waits for another's result. Ray itself retries nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from study import machine, records
from study.data import sources
from study.errors import StudyError
from study.files import read_json
from study.records import Failure
from study.running import node, shipping
from study.running.node import Order, Report
from study.running.recording import Finished
from study.running.study import Job, Study

POLL_SECONDS = 0.25
ANSWER_SECONDS = 180  # in which a node imports PyTorch and says what it is
STORE_BYTES = 2**27  # records go through files, or are shipped one at a time
USUAL_MEMORY, SPARE_MEMORY = 2 * 2**30, 1.25  # of a run, in bytes, where none is known; times what the largest took
# A cluster that is started for one study: Ray's own switch for one that listens on the loopback address only, its
# authentication with a token that no file holds, every line of a log, nothing reported to Ray's makers.
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass
class Node:
    """A machine of the cluster, how many runs it holds at a time, and those it is carrying out."""

    id: str
    report: Report
    cpus: float
    gpus: float
    slots: int
    running: set[str] = field(default_factory=set)
    alone: bool = False

    @property
    def free(self) -> int:
        """How many more runs it could begin."""
        return 0 if self.alone else self.slots - len(self.running)


class Cluster:
    """The executor of a cluster; ``say`` is told which nodes are refused."""

    def __init__(self, study: Study, advance: Callable[[str, int], None], say: Callable[[str], None]) -> None:
        """Connect, and look at every node. StudyError when there is no cluster or no node could hold a run."""
        self.advance = advance
        self.ray = connect(study.options.address)
        self.running: dict[Any, tuple[Job, Node]] = {}  # by the reference to what the task returns
        self.tried = defaultdict[str, set[str]](set)
        threads = study.threads if study.workers > 1 else torch.get_num_threads()  # as the processes here have them
        self.order = Order(secrets.token_hex(8), _decided(study), threads)
        self.share = 1 / (study.options.workers or 1)  # of a GPU
        self.memory = _memory(study)
        try:
            self.order.token_file.touch()
            self.nodes = self._usable(say)
        except BaseException:
            self.stop()
            raise
        finally:
            self.order.token_file.unlink(missing_ok=True)
        ray = self.ray
        self.task = ray.remote(max_retries=0, max_calls=1 if self._on_gpu else 0)(node.carry_out)
        here = self._on(ray.get_runtime_context().get_node_id())
        self.mailbox = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, **here)(node.Mailbox).remote()
        self.taken = self.mailbox.take.remote()

    @property
    def lanes(self) -> int:
        """How many runs all nodes hold at a time."""
        return sum(node.slots for node in self.nodes)

    def room(self, job: Job) -> bool:
        """Whether a node could begin it; all of a node for one that needs the machine for itself."""
        return self._place(job) is not None

    def submit(self, job: Job) -> str:
        """Begin a job on a node that has room; returns the node's name."""
        chosen = self._place(job)
        assert chosen, "there is room"
        chosen.running.add(job.name)
        chosen.alone = job.experiment.alone
        begun = self.task.options(name=job.name, **self._asks(job, chosen), **self._on(chosen.id))
        inputs = None if chosen.report.shared else shipping.pack_records(self.order.study.folder, job.needs)
        self.running[begun.remote(self.order, job, self.mailbox, inputs)] = job, chosen
        return chosen.report.name

    def poll(self) -> list[Finished]:
        """Hear of progress, and wait a moment for runs to end. StudyError when one says what ends the study."""
        ended, _ = self.ray.wait(list(self.running), timeout=POLL_SECONDS)
        if self.ray.wait([self.taken], timeout=0)[0]:
            for name, images in self.ray.get(self.taken).items():
                if any(job.name == name for job, _ in self.running.values()):
                    self.advance(name, images)
            self.taken = self.mailbox.take.remote()
        return [self._ended(reference) for reference in ended]

    def stop(self) -> None:
        """End what runs, and leave the cluster, or end it if this study started it."""
        for reference in self.running:
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.cancel(reference, force=True)
        self.ray.shutdown()

    @property
    def _on_gpu(self) -> bool:
        return self.order.study.options.device == "cuda"

    def _on(self, node_id: str) -> dict[str, Any]:
        """The option that places a task on a node."""
        strategies = self.ray.util.scheduling_strategies
        return {"scheduling_strategy": strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)}

    def _asks(self, job: Job, chosen: Node) -> dict[str, float]:
        """What a job asks Ray for."""
        if job.experiment.alone:
            return {"num_cpus": chosen.cpus, "num_gpus": chosen.gpus if self._on_gpu else 0, "memory": self.memory}
        return {"num_cpus": self.order.threads, "num_gpus": self.share if self._on_gpu else 0, "memory": self.memory}

    def _place(self, job: Job) -> Node | None:
        """The node with the most room for a job, of those that have not lost it before if there are others.

        What needs a machine for itself is measured on machines of one kind, the most frequent.
        """
        able = self.nodes
        if job.experiment.alone:
            kinds = Counter(each.report.processor for each in able)
            able = [each for each in able if each.report.processor == kinds.most_common(1)[0][0]]
        able = [each for each in able if each.id not in self.tried[job.name]] or able
        found = max(able, key=lambda each: each.free)
        return found if found.free > 0 and not (job.experiment.alone and found.running) else None

    def _ended(self, reference: Any) -> Finished:  # noqa: ANN401 - a reference of Ray's
        job, where = self.running.pop(reference)
        where.running.discard(job.name)
        where.alone = False
        exceptions = self.ray.exceptions
        try:
            said, record = self.ray.get(reference)
            if record:
                shipping.put_records(record, self.order.study.folder, [job.name])
        except exceptions.RayTaskError as error:
            return Finished(job.name, failure=Failure.of(error))
        except exceptions.RayError as error:
            self.tried[job.name].add(where.id)
            self._forget_lost_nodes()
            why = "for lack of memory" if isinstance(error, exceptions.OutOfMemoryError) else "unexpectedly"
            return Finished(job.name, lost=f"its worker on {where.report.name} ended {why}")
        if isinstance(said, StudyError):
            raise said
        return said

    def _forget_lost_nodes(self) -> None:
        alive = {each["NodeID"] for each in self.ray.nodes() if each["Alive"]}
        self.nodes = [each for each in self.nodes if each.id in alive]
        if not self.nodes:
            raise StudyError("every node of the cluster is lost; the same command goes on once there is one again")

    def _usable(self, say: Callable[[str], None]) -> list[Node]:
        """The nodes that are as this machine and can hold a run. StudyError when there is none."""
        found = {each["NodeID"]: each["Resources"] for each in self.ray.nodes() if each["Alive"]}
        task = self.ray.remote(num_cpus=0, max_retries=0)(node.inspect)
        asked = {name: task.options(**self._on(name)).remote(self.order) for name in found}
        self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
        expected, usable, refusals = node.inspect(self.order), [], []
        for name, reference in asked.items():
            try:
                report = self.ray.get(reference, timeout=0)
            except self.ray.exceptions.RayError as error:
                refusals.append(f"node {name[:8]} is refused: it does not answer ({Failure.of(error).error})")
                continue
            each = self._node(name, report, found[name])
            refusal = self._refusal(each, expected) or self._refusal_of_data(each)
            if refusal:
                refusals.append(f"node {report.name} is refused: {refusal}")
            else:
                usable.append(each)
        if not usable:
            raise StudyError("; ".join(["no node can hold a run", *refusals]))
        for line in refusals:
            say(line)
        return usable

    def _node(self, name: str, report: Report, has: dict[str, float]) -> Node:
        cpus, gpus = has.get("CPU", 0.0), has.get("GPU", 0.0)
        fits = [cpus // self.order.threads, min(has.get("memory", 0.0), report.free_memory) // self.memory]
        if self._on_gpu:
            fits.append(gpus / self.share)
        return Node(name, report, cpus, gpus, int(min(fits)))

    def _refusal(self, each: Node, expected: Report) -> str:
        """Why runs on a node would differ from those here, or find no room; empty where neither is so."""
        report = each.report
        other = {name: (report.versions.get(name), here) for name, here in expected.versions.items()}
        for name, (there, here) in other.items():
            if there != here:
                return f"it has {name} {there or 'not at all'}, and {here} is needed"
        if report.code != expected.code:
            return "its copy of this package differs; install the same one"
        if report.refusal:
            return report.refusal
        if each.slots < 1:
            wanted = f"{self.order.threads} processors and {self.memory / 2**30:.1f} GB of memory"
            has = f"{each.cpus:.0f} and {report.free_memory / 2**30:.1f} GB free"
            return f"a run needs {wanted}{', and a GPU' if self._on_gpu else ''}, and it has {has}"
        return ""

    def _refusal_of_data(self, each: Node) -> str:
        """Why a node cannot have the images, which are sent to it if need be; empty where it has them."""
        if each.report.data:
            return ""
        task = self.ray.remote(num_cpus=0, max_retries=0)(node.receive_data).options(**self._on(each.id))
        try:
            right = self.ray.get(task.remote(self.order, shipping.pack_data(self.order.study)))
        except (StudyError, self.ray.exceptions.RayError) as error:
            return Failure.of(error).error
        return "" if right else "the images that it was sent arrived as others"


def connect(address: str) -> Any:  # noqa: ANN401 - the module ray
    """Join the cluster at an address, or start one on this machine that nothing outside it can reach.

    StudyError when Ray is not installed, or there is no such cluster.
    """
    if not address:
        os.environ.update(PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
        own = {"num_cpus": machine.available_threads(), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise StudyError("--executor ray needs Ray: pip install -e '.[ray]'") from error
    try:
        where = {"address": address} if address else {"address": "local", **own}
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=True)
    except Exception as error:  # Ray raises what its parts stumble over
        what = f"join a Ray cluster at {address}; is `ray start` running there" if address else "start Ray here"
        raise StudyError(f"cannot {what}? ({Failure.of(error).error})") from error
    return ray


def _decided(study: Study) -> Study:
    """The study as the nodes are told of it, without what this process holds of it in memory."""
    decided = replace(
        study.options,
        preset=study.preset.name,
        dataset=study.data.name,
        data=str(sources.folder_of(study.options.data).absolute()),
        device=study.machine.device.type,
    )
    return replace(study, options=decided, folder=study.folder.absolute())


def _memory(study: Study) -> float:
    """Bytes that a run may need: somewhat more than the study's largest run took."""
    paths = study.folder.glob(f"level*/*/*/{records.ENVIRONMENT}")
    needed = [float(USUAL_MEMORY)]
    for path in paths:
        with contextlib.suppress(StudyError):
            needed.append(SPARE_MEMORY * read_json(path).get("peak_memory_bytes", 0))
    return max(needed)
