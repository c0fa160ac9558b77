"""Predict with dropout active and record the uncertainty of every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from study import records
from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.metrics.uncertainty import of_samples
from study.metrics.voting import TINY
from study.records import Outcome, Run

if TYPE_CHECKING:
    from study.data.store import Images


@dataclass(frozen=True, kw_only=True)
class McDropout(Kind):
    """Gal & Ghahramani 2016: predict with dropout active and batch norm frozen, ``passes`` times."""

    source: str = reads()
    passes: int

    reads_ood: ClassVar[bool] = True

    def carry_out(self, context: Context) -> Outcome:
        source = context.run(self.source)
        samples = {split: self._samples(source, split, context.images(split), context) for split in records.SPLITS}
        outcome = context.predicted({split: np.log(p.mean(0) + TINY) for split, p in samples.items()})
        if context.ood is not None:
            samples[records.OOD] = self._samples(source, records.OOD, context.ood.images, context)
        for split, p in samples.items():
            outcome.arrays |= of_samples(split, p)
        outcome.metrics |= {"passes": self.passes, "source_test_accuracy": source.metrics["test_accuracy"]}
        return outcome

    def _samples(self, source: Run, split: str, images: Images, context: Context) -> np.ndarray:
        """Probabilities (passes, N, C) of the source under the setting it was evaluated in, all views included."""
        from study.inference import evaluation
        from study.inference.offload import Method, offloaded
        from study.models.classifier import prepare, views
        from study.streams import derive

        model, setting = context.network(source)
        # The same seed for all views: a pass is one draw of the network, which answers every view.
        seed = derive(context.seed, f"mc-dropout-{split}")
        passed = len(images) * setting.views
        embedding = offloaded(Method(model, "embedding"), context.machine, setting.precision, passed)

        def sample(view: int) -> np.ndarray:
            parts = images.split(evaluation.BATCH)
            batches = (views(prepare(part, setting.size, model), setting.views)[view] for part in parts)
            return evaluation.mc_dropout(model, batches, self.passes, seed, embedding)

        total = sample(0)
        for view in range(1, setting.views):
            total += sample(view)
        return total / setting.views

    def cost(self, scale: Scale) -> float:
        return scale.forward(self.source, scale.evaluated + scale.images[records.OOD])
