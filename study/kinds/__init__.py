"""The kinds of runs, one file each, found by being here."""

from __future__ import annotations

import importlib
import pkgutil

from study.kinds.added import Added
from study.kinds.export import Export
from study.kinds.gradcam import GradCam
from study.kinds.joined_vote import JoinedVote
from study.kinds.kind import Context, Kind, Scale
from study.kinds.latency import Latency
from study.kinds.mc_dropout import McDropout
from study.kinds.out_of_distribution import OutOfDistribution
from study.kinds.quantization import Quantization
from study.kinds.search import Search
from study.kinds.teacher_answers import TeacherAnswers
from study.kinds.training import Training
from study.kinds.vote import Vote

for module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{module.name}")

__all__ = [
    "Added", "Context", "Export", "GradCam", "JoinedVote", "Kind", "Latency", "McDropout", "OutOfDistribution",
    "Quantization", "Scale", "Search", "TeacherAnswers", "Training", "Vote",
]  # fmt: skip
