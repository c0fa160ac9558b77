"""What the trainer costs over a bare loop, what ONNX Runtime saves where nothing changes, and how decoding scales.

Everything is in images per second.

Both loops of a pair run in one process, interleaved. The bare loop runs forward, backward and step on one
batch that is already augmented, resized and normalised; the trainer's own step does the indexing,
augmentation, schedule, loss and metrics, too. Where a recipe lets images grow, all are timed at the final size.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from study import machine
from study.data import datasets, store
from study.data.pixels import squared
from study.deployment.int8 import session_of
from study.design.levels import level2_regularisation, level3_architecture, level5_deployment
from study.design.presets import CPU
from study.experiment import Stage, Subset
from study.inference import evaluation
from study.inference.offload import with_trunk
from study.inference.runtime import CACHED_IMAGES, run_session
from study.kinds import Training
from study.machine import Machine
from study.models.classifier import build, prepare
from study.training.objective import Streams
from study.training.trainer import Trainer

ROUNDS = 27
DECODED_IMAGES = 384  # a round

Step = Callable[[], None]


@dataclass(frozen=True)
class Bench:
    """One experiment's training step in several forms, all on the same batch of stand-in images."""

    experiment: Training
    where: Machine

    @property
    def stage(self) -> Stage:
        """The first stage at its final image size."""
        return replace(self.experiment.recipe.stages[0], first_size=0)

    def compare(self, name: str, ours: Step, baseline: Step, images: int = 0) -> dict[str, float | str]:
        """The comparison of two steps that take so many images, 0 for the batch of the recipe."""
        full_name = f"{name}/{self.experiment.architecture.backbone}"
        return compare(full_name, ours, baseline, images or self.experiment.recipe.batch_size, self.where)

    def trainer(self) -> Trainer:
        """A new trainer of four batches of digits."""
        dataset = datasets.load("digits", subset=Subset(train=4 * self.experiment.recipe.batch_size))
        model = build(self.experiment.architecture, 10, 0, dataset.statistics)
        return Trainer(model, self.experiment.recipe, dataset, self.where, seed=0)

    def trained(self) -> Step:
        """The trainer's own step."""
        trainer = self.trainer()
        phase, chosen, streams = trainer.begin(self.stage), trainer.order(epoch=0)[0], Streams.of(0, 0)
        trainer.train_mode(self.stage)

        def step() -> None:
            trainer.step(phase, 0, chosen, streams)

        return step

    def bare(self, trunk: bool = False) -> Step:
        """Forward, backward and step; with ``trunk`` the frozen layers' forward is ONNX Runtime's."""
        recipe, trainer = self.experiment.recipe, self.trainer()
        model = trainer.model
        model.freeze(self.stage)
        model.train()
        optimizer = trainer.optimizer(self.stage)
        chosen = trainer.order(epoch=0)[0]
        x, y = prepare(trainer.images[chosen], self.stage.image_size, model), trainer.labels[chosen]
        logits = (with_trunk(model) if trunk else None) or model

        def step() -> None:
            with self.where.autocast(recipe.precision):
                loss = functional.cross_entropy(logits(x).float(), y, label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step

    def evaluated(self, int8: bool = False, at_a_time: int = CACHED_IMAGES) -> Step:
        """The whole network on a batch of evaluation in ONNX Runtime, as teachers compute it, too."""
        trainer = self.trainer()
        images = trainer.images[: evaluation.BATCH].cpu().numpy()
        session = session_of(trainer.model.eval(), self.stage.image_size, images.shape[-1], images if int8 else None)

        def step() -> None:
            run_session(session, images, at_a_time)

        return step


def images_per_second(work: Step, batch: int, where: Machine) -> float:
    """Throughput of one round."""
    started = time.perf_counter()
    work()
    where.wait()
    return batch / (time.perf_counter() - started)


def compare(name: str, ours: Step, baseline: Step, images: int, where: Machine) -> dict[str, float | str]:
    """Median images per second of steps that take so many, and the median of the ratios of neighbouring rounds."""
    for first_call in (ours, baseline):  # pays for allocation and export
        first_call()
    pairs = np.array([[images_per_second(work, images, where) for work in (ours, baseline)] for _ in range(ROUNDS)])
    first, second = np.median(pairs, axis=0)
    return {
        "name": name,
        "images_per_second": float(first),
        "baseline_images_per_second": float(second),
        "ratio": float(np.median(pairs[:, 0] / pairs[:, 1])),
    }


def decoding() -> dict[str, float | str]:
    """JPEG images of 256 px decoded to squares of 224 px a second, on all processors and on one, as ``compare`` does.

    All rounds together decode some 10,000 images each.
    """
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)

    def decode(_: int) -> None:
        with Image.open(io.BytesIO(content.getvalue())) as image:
            squared(image, 224)

    here, threads = machine.resolve("cpu"), machine.available_threads()
    ours, baseline = (partial(store.in_threads, decode, DECODED_IMAGES, each) for each in (threads, 1))
    return compare(f"decoding/{threads} processors", ours, baseline, DECODED_IMAGES, here)


def main() -> None:
    """Print the table for people, then one JSON object a line."""
    where = machine.resolve()
    tuned = Bench(level2_regularisation.augmented(CPU), where)
    scratch = Bench(level3_architecture.scratch(CPU), where)
    student = Bench(level5_deployment.mobile_students(CPU)[0], where)
    rows = [bench.compare("trainer", bench.trained(), bench.bare()) for bench in (tuned, scratch, student)]
    rows.append(tuned.compare("frozen-trunk", tuned.bare(trunk=True), tuned.bare()))
    few, whole = tuned.evaluated(), tuned.evaluated(at_a_time=evaluation.BATCH)
    rows.append(tuned.compare("few-at-a-time", few, whole, evaluation.BATCH))
    rows.append(tuned.compare("int8", tuned.evaluated(int8=True), few, evaluation.BATCH))
    rows.append(decoding())
    table = Table("benchmark", "images/s", "baseline, images/s", "ratio")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row.values()))
    Console().print(table)
    for row in rows:
        print(json.dumps(row))
