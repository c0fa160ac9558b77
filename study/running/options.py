"""The flags of `invoke study`, declared once: their defaults, their help, and what becomes of their text."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _flag(default: Any, help: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Options:
    """The flags of `invoke study`; None and "auto" are decided on this machine."""

    preset: str = _flag("auto", "quick, cpu, overnight or paper; default quick, with CUDA paper")
    levels: tuple[int, ...] | None = _flag(None, "which levels to run, e.g. 1,2; default all")
    only: tuple[str, ...] = _flag((), "which of their experiments, and what those need, e.g. 'level1/*,level3/se-head'")
    seeds: tuple[int, ...] | None = _flag(None, "training seeds, e.g. 0,1,2; default the preset's")
    data: str = _flag("", "folder of the data, as torchvision lays them out; default $STUDY_DATA, else ./data")
    dataset: str = _flag(
        "auto",
        "a folder of images by class, or by split and class; a CSV with file,label[,split]; or a name, e.g. cifar10, "
        "digits; auto is CIFAR-10, without it the digits, with a notice",
    )
    description: str = _flag("", "JSON file of what else is known of the data; default description.json beside them")
    ood: str = _flag("", "out-of-distribution images: a dataset's name or a folder; default Fashion-MNIST or digits")
    device: str = _flag("auto", "auto, cpu, cuda, ...")
    study: str = _flag("", "name of the study's folder; default <preset>-<dataset>")
    runs: Path = _flag(Path("runs"), "folder that holds all studies")
    dry_run: bool = _flag(False, "print the plan with an estimated time per run, and run nothing")
    compile: bool = _flag(False, "compile networks with torch.compile")
    deterministic: bool = _flag(False, "choose reproducible kernels on CUDA")
    workers: int | None = _flag(None, "how many runs at a time, sharing the processors; default 2 on a CPU, else 1")
    fail_fast: bool = _flag(False, "stop at the first run that fails, instead of going on with what does not need it")
    executor: str = _flag("processes", "what carries out the runs: processes of this machine, or ray, a Ray cluster")
    address: str = _flag("", "where the Ray cluster is, e.g. auto or 10.0.0.1:6379; default: one started here")
