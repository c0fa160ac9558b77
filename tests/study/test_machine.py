from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from study import machine
from study.errors import StudyError


def test_auto_is_cuda_where_there_is_one() -> None:
    assert machine.resolve("auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_absent_device_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match="--device cpu or auto"):
        machine.resolve(name)


@pytest.mark.parametrize(
    ("has_amx", "has_avx512_bf16", "used"),
    [(True, True, "bfloat16"), (False, True, "bfloat16"), (True, False, "bfloat16"), (False, False, "float32")],
)
def test_bfloat16_is_used_only_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, has_amx: bool, has_avx512_bf16: bool, used: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx512_bf16)
    where = machine.resolve("cpu")
    assert where.precision("bfloat16") == used and where.precision("float32") == "float32"
    with where.autocast("bfloat16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == getattr(torch, used)


def test_environment_names_versions_and_precision() -> None:
    described = machine.environment(machine.resolve("cpu"), "float32")
    assert (
        described["versions"]["torch"] == torch.__version__.split("+")[0]
        or described["versions"]["torch"] == torch.__version__
    )
    assert described["versions"]["python"] == platform.python_version()
    assert (described["device"], described["precision"]) == ("cpu", "float32")


def test_peak_memory_is_at_least_what_a_tensor_takes() -> None:
    held = torch.ones(25_000_000)
    assert machine.peak_memory_bytes(machine.resolve("cpu")) > held.nbytes


FAULTS_OF_A_SECOND_ALLOCATION = """
import resource, torch
from study import machine
if {tuned}:
    machine.resolve("cpu")
torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
@pytest.mark.slow
def test_freed_memory_is_kept_for_the_next_step() -> None:
    """64 MiB are 16,384 pages of 4 KiB; memory that was kept needs none of them faulted in again."""
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS_OF_A_SECOND_ALLOCATION.format(tuned=tuned)],
                env=environment, capture_output=True, text=True, check=True,
            ).stdout
        )
        for tuned in (True, False)
    ]  # fmt: skip
    assert 10 * faults[0] < faults[1]


def test_at_least_one_thread_is_available() -> None:
    assert machine.available_threads() >= 1
