"""What a teacher says of random views of every training image, for students to learn from.

Recorded once, it is the same for every student, and serves for as many epochs as a student likes: Shen & Xing 2022,
https://arxiv.org/abs/2112.01528.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from study.experiment import Augmentation, reads
from study.kinds.kind import Context, Kind, Scale
from study.kinds.quantization import CALIBRATION_IMAGES, calibration_images, run_all
from study.metrics.calibration import probabilities
from study.records import Outcome, Run

if TYPE_CHECKING:
    from study.data.store import Images

ANSWERS = "answers"
QUANTISATION_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class TeacherAnswers(Kind):
    """Probabilities (``views``, N, C) of the candidate that is ``rank``-th best on validation (from 1).

    The views of the N training images are augmented by ``augmentation``; their random stream is the run's, so that
    other teachers' answers and the students' training see the same ones. With ``int8`` the teacher answers as it
    does after static post-training quantisation, in ONNX Runtime.
    """

    candidates: tuple[str, ...] = reads()
    augmentation: Augmentation
    views: int
    rank: int = 1
    int8: bool = False

    def carry_out(self, context: Context) -> Outcome:
        from study.data.augmentation import fixed_view

        candidates = [context.run(key) for key in self.candidates]
        ranked = sorted(candidates, key=lambda run: run.metrics["validation_accuracy"], reverse=True)
        teacher, images = ranked[self.rank - 1], context.images("train")
        answer = self._network(teacher, context)
        answers = np.empty((self.views, len(images), len(context.dataset.classes)), dtype=np.float32)
        for number in range(self.views):
            view = fixed_view(images, self.augmentation, context.seed, number)
            answers[number] = probabilities(answer(view))
            context.advance(len(images))
        right = answer(context.images("validation")).argmax(axis=1) == context.labels("validation")
        told = {"teacher": teacher.key, "teacher_validation_accuracy": float(right.mean())}
        return Outcome(told, {ANSWERS: answers})

    def _network(self, teacher: Run, context: Context) -> Callable[[Images], np.ndarray]:
        """What maps uint8 images (N, 3, S, S) to the teacher's logits (N, C)."""
        from study.deployment.int8 import session_of
        from study.inference import evaluation
        from study.inference.runtime import CACHED_IMAGES

        model, setting = context.network(teacher)
        if self.int8:
            calibrating = calibration_images(CALIBRATION_IMAGES, context)
            session = session_of(model, setting.size, context.dataset.size, calibrating)
            return lambda images: run_all(session, images, CACHED_IMAGES)
        alone = replace(setting, views=1)
        return lambda images: evaluation.logits(model, images, alone, context.machine).numpy()

    def cost(self, scale: Scale) -> float:
        images = self.views * scale.images["train"] + scale.images["validation"]
        dearest = max(scale.forward(key, images, views=1) for key in self.candidates)
        return QUANTISATION_SECONDS + dearest / 2 if self.int8 else dearest

    @property
    def pace(self) -> str:
        return f"{self.kind} int8" if self.int8 else self.kind

    def images(self, scale: Scale) -> int:
        return self.views * scale.images["train"]
