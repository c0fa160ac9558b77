"""Fixtures shared by the tests: small data, a preset that runs in a minute, and one study run with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from analysis.assemble import assemble
from analysis.evidence import Evidence
from study import machine
from study.data import datasets
from study.data.datasets import Dataset
from study.design import presets
from study.design.presets import Preset
from study.experiment import Subset
from study.machine import Machine
from study.running import runner
from study.running.options import Options
from tests.fabricate import fabricate

QUICK = presets.QUICK
TINY = replace(
    QUICK,
    name="tiny",
    purpose="tests",
    subset=Subset(80, 40, 70),
    transfer=replace(
        QUICK.transfer,
        stage=replace(QUICK.transfer.stage, image_size=32),
        head_epochs=2,
        batch_size=20,
        test_views=2,
        layer_decay=0.95,
        averaging=0.2,
    ),
    ablations=replace(QUICK.ablations, epochs=6, batch_size=20),
    search=presets.SearchBudget(trials=3, epochs=2, images=40),
    scratch=replace(QUICK.scratch, epochs=2, batch_size=20, test_views=6),
    multi_task=replace(QUICK.multi_task, epochs=1),
    mobile_student=replace(
        QUICK.mobile_student, stage=replace(QUICK.mobile_student.stage, epochs=1, image_size=32), batch_size=20
    ),
    teachers=replace(QUICK.teachers, ensemble=2, views=2),
    mc_passes=3,
    latency_repeats=3,
)


TOOLS = {"needs_tex": "latexmk", "needs_browser": "chromium", "needs_ray": "ray"}  # commands, or packages


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what shares a costly fixture or cache to one worker, what takes longest first; skip what lacks its tool."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        reads_study = "tiny_study" in getattr(item, "fixturenames", ())
        shares_exports = hasattr(getattr(item, "module", None), "MOBILENET")
        group = "study" if reads_study else "exports" if shares_exports else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))
    skip_without_tools(items)


def skip_without_tools(items: list[pytest.Item]) -> None:
    """Skip what needs a tool this machine lacks, saying which; with NO_SKIPS set, fail instead."""
    for marker, command in TOOLS.items():
        if shutil.which(command) or find_spec(command):
            continue
        if os.environ.get("NO_SKIPS"):
            raise pytest.UsageError(f"{command} is missing, and NO_SKIPS asks for every test")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{command} is not installed"))


@pytest.fixture(scope="session", autouse=True)
def _own_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what this machine remembers between studies, finds its data, or fetches any."""

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("tests fetch nothing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("STUDY_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setattr("urllib.request.urlopen", refuse)  # by which torchvision downloads
        yield


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """Eighty training, forty validation and seventy test digits."""
    return datasets.load("digits", subset=TINY.subset)


@pytest.fixture(scope="session")
def cpu() -> Machine:
    """The CPU in float32."""
    return machine.resolve("cpu")


@pytest.fixture(scope="session")
def tiny() -> Iterator[Preset]:
    """The test preset, known to the runner by name for the session."""
    presets.PRESETS["tiny"] = TINY
    yield TINY
    del presets.PRESETS["tiny"]


@pytest.fixture(scope="session")
def tiny_options(tiny: Preset, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Options of the session's study."""
    return Options(preset=tiny.name, dataset="digits", device="cpu", runs=tmp_path_factory.mktemp("runs"), workers=1)


@pytest.fixture(scope="session")
def tiny_study(tiny_options: Options) -> Path:
    """A complete study of all five levels on digits, run once for the session; treat it as read-only."""
    return runner.run(tiny_options)


@pytest.fixture(scope="session")
def fabricated_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete study of one seed on 200 test images that nobody ran; treat it as read-only."""
    return fabricate(tmp_path_factory.mktemp("fabricated"))


@pytest.fixture(scope="session")
def evidence(fabricated_study: Path) -> Evidence:
    """All that the paper about it may say."""
    return assemble(fabricated_study)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute on one thread, for work too small to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder_contents() -> Callable[[Path], dict[str, bytes]]:
    """Relative path and content of every file below a folder."""
    return lambda folder: {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
