"""Two nodes of Ray on this machine, in processes of their own, that can be killed and are there again."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from study.running import cluster
from tests.faults.killed import ADDRESS, FORK

ROOT = Path(__file__).parents[2]
WHERE, OTHER = "where they are", "kill the other one"


class Nodes:
    """A head and another node, each with one processor."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = FORK.Pipe()
        self.holder = FORK.Process(target=_hold, args=(theirs,))
        self.holder.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until both are there, started anew if need be, and let drivers know where."""
        if not self.holder.is_alive():
            self._start()
        self.pipe.send(WHERE)
        os.environ[ADDRESS] = self.pipe.recv()

    def kill(self, both: bool) -> None:
        """Kill all of the node that is not the head, or of both."""
        if not both:
            self.pipe.send(OTHER)
            return
        for process in (*descendants(self.holder.pid), self.holder.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.holder.join()

    def workers(self) -> list[int]:
        """Processes that carry out a run."""
        return [each for each in descendants(self.holder.pid) if _command(each).startswith("ray::level")]


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """Two nodes that nothing outside this machine reaches."""
    os.environ.update(cluster.PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(ROOT)})
    nodes = Nodes()
    try:
        nodes.ready()
        yield nodes
    finally:
        nodes.kill(both=True)


def _hold(pipe: Connection) -> None:
    """Start the nodes; say where they are, or replace the other one by a new one, as the pipe asks."""
    os.setsid()
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = both.add_node(num_cpus=1)
    while True:
        if pipe.recv() == OTHER:
            both.remove_node(other, allow_graceful=False)
            other = both.add_node(num_cpus=1)
        else:
            pipe.send(both.address)


def descendants(process: int | None) -> list[int]:
    """Processes below one."""
    try:
        children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *descendants(child))]


def _command(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""
