"""What the trainer costs over a bare loop: images per second of both, interleaved in one process.

The bare loop runs forward, backward and step on one batch that is already augmented, resized and
normalised. The trainer runs its own step: indexing, augmentation, schedule, loss, metrics.
Where a recipe lets images grow, both are timed at the final size.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table
from timm.optim import create_optimizer_v2
from torch.nn import functional

from study import data, machine
from study.data import Subset
from study.experiment import Training
from study.levels import level2_regularisation, level3_architecture
from study.machine import Machine
from study.models import build, prepare
from study.objective import Draws
from study.presets import CPU
from study.training import TIMM_OPTIMIZERS, Trainer

ROUNDS = 9
BATCHES_PER_ROUND = 3


def steps_of(experiment: Training, where: Machine) -> tuple[Callable[[], None], Callable[[], None], int]:
    """The trainer's step and the bare step for one experiment, and the batch size."""
    recipe = experiment.recipe
    stage = replace(recipe.stages[0], first_size=0)
    dataset = data.load("digits", subset=Subset(train=4 * recipe.batch_size))
    trainer = Trainer(build(experiment.architecture, 10, seed=0), recipe, dataset, where, seed=0)
    phase = trainer.begin(stage)
    chosen, draws = trainer.order(epoch=0)[0], Draws.of(0, 0)
    trainer.train_mode(stage)

    def trained() -> None:
        trainer.step(phase, 0, chosen, draws)

    model = build(experiment.architecture, 10, seed=0).to(where.device)
    model.freeze(stage)
    model.train()
    bare_optimizer = create_optimizer_v2(
        model, lr=1e-3, weight_decay=recipe.weight_decay, **TIMM_OPTIMIZERS[recipe.optimizer]
    )
    x, y = prepare(trainer.images[chosen], stage.image_size, model), trainer.labels[chosen]

    def bare() -> None:
        with where.autocast(recipe.precision):
            loss = functional.cross_entropy(model(x).float(), y, label_smoothing=recipe.label_smoothing)
        loss.backward()
        bare_optimizer.step()
        bare_optimizer.zero_grad(set_to_none=True)

    return trained, bare, recipe.batch_size


def images_per_second(work: Callable[[], None], batch: int, where: Machine) -> float:
    """Throughput of one round."""
    started = time.perf_counter()
    for _ in range(BATCHES_PER_ROUND):
        work()
    where.wait()
    return BATCHES_PER_ROUND * batch / (time.perf_counter() - started)


def compare(experiment: Training, where: Machine) -> dict[str, float | str]:
    """Median images per second of both and the median of the ratios of neighbouring rounds."""
    trained, bare, batch = steps_of(experiment, where)
    trained(), bare()
    pairs = np.array([[images_per_second(work, batch, where) for work in (trained, bare)] for _ in range(ROUNDS)])
    trainer, loop = np.median(pairs, axis=0)
    ratio = float(np.median(pairs[:, 0] / pairs[:, 1]))
    name = f"trainer/{experiment.architecture.backbone}"
    return {
        "name": name,
        "trainer_images_per_second": float(trainer),
        "bare_images_per_second": float(loop),
        "ratio": ratio,
    }


def main() -> None:
    """Print the table for people, then one JSON object a line."""
    where = machine.resolve()
    experiments = (
        level2_regularisation.augmented(CPU),
        level3_architecture.scratch(CPU),
    )
    rows = [compare(experiment, where) for experiment in experiments]
    table = Table("benchmark", "trainer, images/s", "bare loop, images/s", "ratio")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3g}" for value in row.values()))
    Console().print(table)
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
