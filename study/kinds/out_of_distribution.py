"""What networks say about images of a second dataset, which hold none of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.metrics.calibration import probabilities
from study.metrics.uncertainty import of_samples
from study.records import OOD, Outcome


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution(Kind):
    """Record every source's logits (M, N, C), and their mean's uncertainty, of out-of-distribution images.

    Skipped where there are none.
    """

    sources: tuple[str, ...] = reads()

    reads_ood: ClassVar[bool] = True

    def carry_out(self, context: Context) -> Outcome:
        from study.data.ood import NONE_AVAILABLE
        from study.inference import evaluation

        if (found := context.ood) is None:
            return Outcome({"skipped": NONE_AVAILABLE})
        networks = (context.network(context.run(key)) for key in self.sources)
        logits = np.stack([evaluation.logits(m, found.images, how, context.machine).numpy() for m, how in networks])
        described = {"title": found.title, "images": len(found.images), "fingerprint": found.fingerprint}
        return Outcome(described, {f"{OOD}_logits": logits} | of_samples(OOD, probabilities(logits)))

    def cost(self, scale: Scale) -> float:
        return sum(scale.forward(key, scale.images[OOD]) for key in self.sources)
