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
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from study import machine, records
from study.data import sources
from study.errors import StoppingError, StudyError
from study.files import read_json
from study.records import Failure
from study.running import node, shipping
from study.running.node import Order
from study.running.placement import Needs, Node, place
from study.running.recording import Finished
from study.running.study import Job, Study

POLL_SECONDS, LOOK_SECONDS = 0.25, 2.0
ANSWER_SECONDS = 180  # in which a node imports PyTorch and says what it is
STORE_BYTES = 2**27  # records go through files, or are shipped one at a time
USUAL_MEMORY, SPARE_MEMORY = 2 * 2**30, 1.25  # of a run, in bytes, at least; times what the largest took
# A cluster that is started for one study: Ray's own switch for one that listens on the loopback address only, its
# authentication with a token that no file holds, every line of a log, nothing reported to Ray's makers.
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class Cluster:
    """The executor of a cluster; ``say`` is told which nodes are refused."""

    def __init__(self, study: Study, advance: Callable[[str, int, bool], None], say: Callable[[str], None]) -> None:
        """Connect, and look at every node. StudyError when there is no cluster or no node could hold a run."""
        self.advance = advance
        self.ray = connect(study.options.address, _processors(study))
        self.running: dict[Any, tuple[Job, Node]] = {}  # by the reference to what the task returns
        self.looked = time.monotonic()
        self.tried = defaultdict[str, set[str]](set)
        self.needs = _needs(study)
        self.order = Order(secrets.token_hex(8), _decided(study), self.needs.threads)
        try:
            self.order.token_file.touch()
            self.nodes = self._usable(say)
        except BaseException:
            self.stop()
            raise
        finally:
            self.order.token_file.unlink(missing_ok=True)
        ray = self.ray
        self.task = ray.remote(max_retries=0, max_calls=1 if self.needs.gpu else 0)(node.carry_out)
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
        chosen.begin(job.name, job.experiment.alone)
        begun = self.task.options(name=job.name, **self._asks(job, chosen), **self._on(chosen.id))
        inputs = None if chosen.report.shared else shipping.pack_records(self.order.study.folder, job.needs)
        self.running[begun.remote(self.order, job, self.mailbox, inputs)] = job, chosen
        return chosen.report.name

    def poll(self) -> list[Finished]:
        """Hear of progress, and wait a moment for runs to end. StudyError when one says what ends the study."""
        if time.monotonic() - self.looked > LOOK_SECONDS:  # it can take seconds until a node counts as lost
            self.look_for_nodes()
        ended, _ = self.ray.wait(list(self.running), timeout=POLL_SECONDS)
        if self.ray.wait([self.taken], timeout=0)[0]:
            for (name, resumed), images in self.ray.get(self.taken).items():
                if any(job.name == name for job, _ in self.running.values()):
                    self.advance(name, images, resumed)
            self.taken = self.mailbox.take.remote()
        return [self._ended(reference) for reference in ended]

    def look_for_nodes(self) -> None:
        """Forget the nodes that are lost. StudyError when all are."""
        self.looked = time.monotonic()
        alive = {each["NodeID"] for each in self.ray.nodes() if each["Alive"]}
        self.nodes = [each for each in self.nodes if each.id in alive]
        if not self.nodes:
            raise StudyError("every node of the cluster is lost; the same command goes on once there is one again")

    def stop(self) -> None:
        """End what runs, and leave the cluster, or end it if this study started it."""
        for reference in self.running:
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.cancel(reference, force=True)
        self.ray.shutdown()

    def _on(self, node_id: str) -> dict[str, Any]:
        """The option that places a task on a node."""
        strategies = self.ray.util.scheduling_strategies
        return {"scheduling_strategy": strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)}

    def _asks(self, job: Job, chosen: Node) -> dict[str, float]:
        """What a job asks Ray for."""
        cpus, gpus = (chosen.cpus, chosen.gpus) if job.experiment.alone else (self.needs.threads, self.needs.gpu)
        return {"num_cpus": cpus, "num_gpus": gpus if self.needs.gpu else 0, "memory": self.needs.memory}

    def _place(self, job: Job) -> Node | None:
        return place(self.nodes, job.experiment.alone, self.tried[job.name])

    def _ended(self, reference: Any) -> Finished:  # noqa: ANN401 - a reference of Ray's
        job, where = self.running.pop(reference)
        where.end(job.name)
        exceptions = self.ray.exceptions
        try:
            said, record = self.ray.get(reference)
            if record:
                shipping.put_records(record, self.order.study.folder, [job.name])
        except StoppingError:
            raise
        except StudyError as error:  # the record arrived damaged
            said = Finished(job.name, lost=str(error))
        except exceptions.RayTaskError as error:
            said = Finished(job.name, failure=_cause(error))
        except exceptions.RayError as error:
            self.look_for_nodes()
            why = "for lack of memory" if isinstance(error, exceptions.OutOfMemoryError) else "unexpectedly"
            said = Finished(job.name, lost=f"its worker on {where.report.name} ended {why}")
        if isinstance(said, StudyError):
            raise said
        if said.lost:
            self.tried[job.name].add(where.id)
        return said

    def _usable(self, say: Callable[[str], None]) -> list[Node]:
        """The nodes that are as this machine, can hold a run and have the images. StudyError when there is none."""
        refusals: list[str] = []
        fit = self._fit(refusals)
        looking = [self._ask(node.has_data, each.id) for each in fit]  # perhaps for long: images may have to be decoded
        for each, has_data in zip(list(fit), looking, strict=True):
            if refusal := self._refusal_of_data(each, has_data):
                refusals.append(f"node {each.report.name} is refused: {refusal}")
                fit.remove(each)
        if not fit:
            raise StudyError("; ".join(["no node can hold a run", *refusals]))
        for line in refusals:
            say(line)
        return fit

    def _fit(self, refusals: list[str]) -> list[Node]:
        """The nodes that are as this machine and can hold a run; why others are not is added to ``refusals``."""
        found = {each["NodeID"]: each["Resources"] for each in self.ray.nodes() if each["Alive"]}
        asked = {name: self._ask(node.inspect, name) for name in found}
        self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
        here, fit = (machine.versions(), node.code_digest()), []
        for name, reference in asked.items():
            try:
                report = self.ray.get(reference, timeout=0)
            except self.ray.exceptions.RayError as error:
                refusals.append(f"node {name[:8]} is refused: it does not say what it is ({_cause(error).error})")
                continue
            each = Node.of(name, report, found[name], self.needs)
            if refusal := each.refusal(*here, self.needs):
                refusals.append(f"node {report.name} is refused: {refusal}")
            else:
                fit.append(each)
        return fit

    def _ask(self, what: Callable[..., Any], node_id: str, *more: object) -> Any:  # noqa: ANN401 - a reference of Ray's
        """What a node says, which needs no processor of its own."""
        task = self.ray.remote(num_cpus=0, max_retries=0)(what)
        return task.options(**self._on(node_id)).remote(self.order, *more)

    def _refusal_of_data(self, each: Node, has_data: Any) -> str:  # noqa: ANN401 - a reference of Ray's
        """Why a node cannot have the images, which are sent to it if need be; empty where it has them."""
        try:
            if self.ray.get(has_data):
                return ""
            right = self.ray.get(self._ask(node.receive_data, each.id, shipping.pack_data(self.order.study)))
        except (StudyError, self.ray.exceptions.RayError) as error:
            return _cause(error).error
        return "" if right else "the images that it was sent arrived as others"


def connect(address: str, processors: int | None = None) -> Any:  # noqa: ANN401 - the module ray
    """Join the cluster at an address, or start one on this machine that nothing outside it can reach.

    One that is started has so many ``processors`` of this machine, or all. StudyError when Ray is not installed, or
    there is no such cluster.
    """
    where: dict[str, Any] = {"address": address or "local"}
    if not address:
        os.environ.update(PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
        where |= {"num_cpus": processors, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise StudyError("--executor ray needs Ray: pip install -e '.[ray]'") from error
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=True)
    except Exception as error:  # Ray raises what its parts stumble over
        what = f"join a Ray cluster at {address}; is Ray running there?" if address else "start Ray here"
        raise StudyError(f"cannot {what} ({Failure.of(error).error})") from error
    signal.signal(signal.SIGTERM, terminated)  # Ray's own leaves with code 1 and without a word
    return ray


def _cause(error: Exception) -> Failure:
    """Why a task failed, without what Ray says around it."""
    return Failure.of(getattr(error, "cause", None) or error)


def _decided(study: Study) -> Study:
    """The study as the nodes are told of it, without what this process holds of it in memory."""
    decided = replace(
        study.decided,
        data=str(sources.folder_of(study.options.data).absolute()),
        device=study.machine.device.type,
        ood=_anywhere(study.options.ood),
    )
    data = replace(study.data, source=_anywhere(study.data.source))
    return replace(study, options=decided, data=data, folder=study.folder.absolute())


def _anywhere(dataset: str) -> str:
    """A dataset's name, or the path of one as it reads from any folder."""
    return dataset if not dataset or dataset in sources.names() else str(Path(dataset).absolute())


def _needs(study: Study) -> Needs:
    """What a run takes: of a CPU its share of this machine's threads, of GPUs one or a part, and the threads beside."""
    if study.machine.device.type != "cuda":
        return Needs(study.threads, _memory(study))
    return Needs(max(1, study.threads // torch.cuda.device_count()), USUAL_MEMORY, 1 / (study.options.workers or 1))


def _processors(study: Study) -> int:
    """How many processors of this machine a study may use: no more than its runs on a CPU take."""
    on_cpu = study.machine.device.type == "cpu"
    return study.workers * study.threads if on_cpu else machine.available_threads()


def _memory(study: Study) -> float:
    """Bytes that a run on a CPU may need: what the largest is known to need, or took before and somewhat more."""
    paths = study.folder.glob(f"level*/*/*/{records.ENVIRONMENT}")
    needed = [float(USUAL_MEMORY), *(experiment.memory(study.scale) for experiment in study.chosen)]
    for path in paths:
        with contextlib.suppress(StudyError):
            found = read_json(path)
            needed.append(SPARE_MEMORY * found.get("peak_memory_bytes", 0) if found.get("device") == "cpu" else 0.0)
    return max(needed)
