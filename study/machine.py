"""The machine a study runs on: device, precision, determinism, and what the record says of it."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import subprocess
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from study.errors import StudyError
from study.experiment import Precision

# mallopt's parameter numbers in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK_KEPT = 2**30
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "onnxruntime", "optuna", "grad-cam")


@dataclass(frozen=True)
class Machine:
    """Device and switches shared by all runs of a study."""

    device: torch.device
    compile: bool = False
    deterministic: bool = False

    def precision(self, requested: Precision) -> Precision:
        """The precision really used: bfloat16 only where the device has instructions for it.

        Without them (a CPU that has neither AMX nor AVX-512's bfloat16, an old GPU) it is emulated and
        several times slower than float32.
        """
        if requested == "float32":
            return requested
        if self.device.type == "cuda":
            return requested if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        return requested if self.device.type == "cpu" and native else "float32"

    def wait(self) -> None:
        """Return when everything asked of the device so far is done, which timings need."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def autocast(self, requested: Precision) -> AbstractContextManager[Any]:
        """Autocast context for a forward pass in the requested precision."""
        if self.precision(requested) == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def resolve(device: str = "auto", compile: bool = False, deterministic: bool = False) -> Machine:
    """The machine for a --device flag: "auto" takes CUDA when there, else the CPU.

    StudyError when the device is unknown or absent. The deterministic switch makes CUDA choose
    reproducible kernels; the CPU's are reproducible for a fixed number of threads anyway.
    """
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(name)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise StudyError(f"device {device!r} is not available here; use --device cpu or auto") from error
    if resolved.type == "meta":
        raise StudyError("device 'meta' computes nothing; use --device cpu or auto")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    elif resolved.type == "cuda":
        torch.backends.cudnn.benchmark = True
    if resolved.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # float32 is what recipes, records and the shipped model mean
    if resolved.type == "cpu":
        _keep_freed_memory()
    return Machine(resolved, compile, deterministic)


def available_threads() -> int:
    """Processors this process may use, also by a container's quota."""
    import joblib

    return int(joblib.cpu_count())


def _keep_freed_memory() -> None:
    """Have glibc keep large freed blocks for the next step, in huge pages, instead of returning them to the kernel.

    Otherwise each step of training faults in all its activations anew.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch at its first large allocation
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # The manual knows no more than 32 MiB, which older ones insist on.
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK_KEPT) or libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST_BLOCK_KEPT)


def environment(machine: Machine, precision: str) -> dict[str, Any]:
    """What environment.json says, without the peak memory that the runner adds."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "processor": processor(),
        "device": str(machine.device),
        "device_name": torch.cuda.get_device_name(machine.device) if machine.device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "compile": machine.compile,
        "deterministic": machine.deterministic,
        "commit": _commit(),
    }


def reset_peak_memory(machine: Machine) -> None:
    """Start counting the GPU's peak afresh; a process's resident peak cannot be reset."""
    if machine.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(machine.device)


def peak_memory_bytes(machine: Machine) -> int:
    """Highest memory use: allocated on the GPU since the last reset, or resident since the process started."""
    if machine.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(machine.device))
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numerics matter."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def free_memory_bytes() -> float:
    """Memory that a new process could take without another's loss; infinite where the system does not say."""
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    free = [1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return free[0] if free else math.inf


def memory_bytes(machine: Machine) -> int | None:
    """Memory of the GPU, else main memory; None where that is not known."""
    if machine.device.type == "cuda":
        return torch.cuda.get_device_properties(machine.device).total_memory
    return main_memory_bytes()


def main_memory_bytes() -> int | None:
    """Memory of the computer or of the container on it, whichever is less; None where that is not known."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows, macOS
        return None
    told = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.is_file() else ""
    return min(whole, int(told)) if told.isdigit() else whole


def processor() -> str:
    """What the system calls its processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@cache
def _commit() -> str:
    """The commit that this process runs."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
