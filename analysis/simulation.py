"""What this package's statistics do where the truth is known: ``python -m analysis.simulation``.

Made-up studies have the comparisons of the preset ``cpu``. A share of the images is hard: each training gets a hard
image right by the toss of a coin of its own, and every other image always. Recipes are equal, so that two trainings
disagree on ``DISCORDANT`` of the images and whatever a study finds is false. A training may be luckier than its recipe
on all hard images at once, by a normal ``shift`` in accuracy. int8 models toss some coins of their network anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import numpy as np

from analysis.results import Judged, Pair, chance_in_training, judge
from analysis.statistics import influence
from analysis.statistics.comparison import MARGIN, accuracy_of, compare, power_analysis
from analysis.statistics.crossed import ALPHA, MIN_SEEDS, estimate_of
from analysis.statistics.trust import ece_interval
from study.design import levels, presets
from study.kinds import Quantization
from study.metrics.calibration import expected_calibration_error, probabilities

DISCORDANT, TOSSED = 0.045, 1 / 3
HARD = 2 * DISCORDANT  # half of the coins tossed twice differ
ACCURACY = 1 - HARD / 2
WATCHED = "level2/plain"  # the comparison whose power is measured
SEEDS, SHIFTS, WILD = (1, 3, 5, 10), (0.0, 0.0015, 0.003), 0.008


@dataclass(frozen=True)
class World:
    """What is true: by how much treated recipes are better, and chance in training (sd), in fractions.

    Where there is such a thing, every fifth recipe is ``wild`` and trains by that much chance.
    """

    images: int = 10_000
    seeds: int = 3
    shift: float = 0.0
    wild: float | None = None
    gains: Mapping[str, float] = field(default_factory=dict)

    def chance(self, key: str) -> float:
        """Chance in training of a recipe."""
        return self.shift if self.wild is None or trained().index(key) % 5 else self.wild


@dataclass(frozen=True)
class MadeUp:
    """A study's comparisons, and how much luckier the treated networks of each are than those of its control."""

    pairs: list[Pair]
    luck: list[float]


@cache
def plan() -> tuple[tuple[str, str, bool], ...]:
    """Treated, control and whether they are retrained, of every comparison that the preset ``cpu`` plans."""
    found = levels.experiments(presets.CPU)
    return tuple((each.key, each.control, not isinstance(each, Quantization)) for each in found if each.control)


@cache
def trained() -> tuple[str, ...]:
    """Whatever is trained for these comparisons, sorted."""
    return tuple(sorted({key for treated, control, retrained in plan() if retrained for key in (treated, control)}))


def studies(world: World, number: int, rng: np.random.Generator) -> Iterator[MadeUp]:
    """So many studies of a world."""
    for _ in range(number):
        hard = int(rng.binomial(world.images, HARD))
        luck: dict[str, np.ndarray] = {}
        right: dict[str, np.ndarray] = {}
        for treated, control, retrained in plan():
            for key in (control, treated)[: 1 + retrained]:
                if key not in right:
                    luck[key] = rng.normal(0, world.chance(key), world.seeds)
                    right[key] = _tossed(world, hard, luck[key] + world.gains.get(key, 0.0), rng)
            if not retrained:
                luck[treated] = luck[control]
                again, tossed = rng.random(right[control].shape) < TOSSED, _tossed(world, hard, luck[control], rng)
                right[treated] = np.where(again, tossed, right[control])
        pairs = [Pair(key, control, right[key], right[control], retrained) for key, control, retrained in plan()]
        yield MadeUp(pairs, [float((luck[pair.key] - luck[pair.control]).mean()) for pair in pairs])


def _tossed(world: World, hard: int, better: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which images the trainings get right, (S, N) bool; each is ``better`` (S,) than an even coin."""
    right = np.ones((len(better), world.images), dtype=bool)
    right[:, :hard] = rng.random((len(better), hard)) < 0.5 + better[:, None] / HARD
    return right


def judged(study: MadeUp) -> list[Judged]:
    """The study's comparisons as the package judges them."""
    return judge(study.pairs, chance_in_training(study.pairs))


def false(world: World, each: Judged) -> bool:
    """Whether a comparison ends in a verdict that the world's truth contradicts."""
    gain = world.gains.get(each.key, 0.0) - world.gains.get(each.control, 0.0)
    if each.verdict == "equivalent":
        return abs(gain) >= MARGIN
    return each.verdict != "inconclusive" and each.change != np.sign(gain)


def verdicts(world: World, number: int, rng: np.random.Generator) -> dict[str, float]:
    """How often intervals cover what is true and tests find what is not, where all recipes are equal.

    Of comparisons of recipes, ``coverage`` of their interval and ``positives`` of p < 0.05, before it is adjusted; the
    coverage of intervals about ``networks``, of ``accuracy``, and how often a pass mark just met is called ``passed``;
    the share of ``studies`` with a false verdict, and with one where every second recipe gains just what matters.
    """
    rows, studies_wrong = [], 0
    for study in studies(world, number, rng):
        found = judged(study)
        studies_wrong += any(false(world, each) for each in found)
        for pair, each, luck in zip(study.pairs, found, study.luck, strict=True):
            c, networks = each.comparison, compare(pair.treated, pair.untreated)
            accuracy = accuracy_of(pair.treated)
            recipes = (c.low <= 0 <= c.high, c.p < ALPHA) if c.about == "recipes" else (np.nan, np.nan)
            rows.append(
                (*recipes, networks.low <= luck <= networks.high, accuracy.low <= ACCURACY <= accuracy.high,
                 accuracy.low >= ACCURACY)
            )  # fmt: skip
    columns = np.array(rows, dtype=float)
    measured = [float(np.nanmean(each)) if not np.isnan(each).all() else np.nan for each in columns.T]
    return dict(zip(("coverage", "positives", "networks", "accuracy", "passed"), measured, strict=True)) | {
        "studies": studies_wrong / number,
        "at the margin": false_at_margin(world, number, rng),
    }


def false_at_margin(world: World, number: int, rng: np.random.Generator) -> float:
    """The share of studies with a false verdict where every second treated recipe gains exactly what matters."""
    controls = {control for _, control, _ in plan()}
    leaves = [treated for treated, _, retrained in plan() if retrained and treated not in controls]
    mixed = replace(world, gains=dict.fromkeys(leaves[::2], MARGIN))
    return float(np.mean([any(false(mixed, e) for e in judged(study)) for study in studies(mixed, number, rng)]))


def power(world: World, number: int, rng: np.random.Generator) -> dict[str, float]:
    """The mean detectable effect of one comparison, and how often it is found where it is true."""
    seen = []
    for study in studies(world, max(1, number // 4), rng):
        pair = next(pair for pair in study.pairs if pair.key == WATCHED)
        chance = chance_in_training(study.pairs)
        seen.append(power_analysis(pair.treated, pair.untreated, True, chance, 1.0, ALPHA / len(plan())).detectable)
    effect = float(np.mean(seen))
    gaining = replace(world, gains={WATCHED: effect})
    found = [{each.key: each.change for each in judged(study)}[WATCHED] for study in studies(gaining, number, rng)]
    return {"detectable": effect, "power": float(np.mean(np.array(found) > 0))}


@dataclass(frozen=True)
class Answers:
    """What networks of two classes say: two equally good uncertainties (S, N), and whether they are right, (S, N).

    ``probs`` (S, N, 2) are as often right as they say, ``labels`` (N,) drawn from those of the first network.
    """

    one: np.ndarray
    other: np.ndarray
    correct: np.ndarray
    probs: np.ndarray
    labels: np.ndarray


def answers(world: World, rng: np.random.Generator) -> Answers:
    """Networks that are right more often where an image is easy, which they see in part alike."""
    ease = rng.normal(3.5, 2.0, world.images) + rng.normal(0, 0.7, (world.seeds, world.images))
    first = probabilities(np.stack([ease, np.zeros_like(ease)], axis=2))
    labels = (rng.random(world.images) > first[0, :, 0]).astype(int)
    correct = rng.random(ease.shape) < first.max(axis=2)
    one, other = rng.normal(0, 1.0, (2, *ease.shape)) - np.abs(ease)
    return Answers(one, other, correct, first, labels)


def scores(world: World, number: int, rng: np.random.Generator) -> dict[str, float]:
    """How often tests and intervals of scores are wrong or right, over so many sets of test images.

    ``AURC``: p < 0.05 between two uncertainties that are equally good; ``AUROC`` and ``ECE``: the 95 % interval covers
    the value of very many images; ``T``: p < 0.05 where the temperature that fits is one.
    """
    many, draws = replace(world, images=100_000, seeds=1), max(4, world.images // 250)  # 400 times the images seen
    truth = np.mean([_truth(answers(many, rng)) for _ in range(draws)], axis=0)
    rows = []
    for _ in range(number):
        seen = answers(world, rng)
        by_seed = list(zip(seen.one, seen.other, seen.correct, strict=True))
        gain = [influence.of_aurc(one, right) - influence.of_aurc(other, right) for one, other, right in by_seed]
        aurocs = np.stack([influence.of_auroc(one, ~right) for one, _, right in by_seed])
        temperature = influence.of_log_temperature(np.log(seen.probs[0] + 1e-300), seen.labels)[None]
        intervals = [estimate_of(aurocs).interval(), ece_interval(*_too_sure(seen))]
        covered = [each.low <= true <= each.high for each, true in zip(intervals, truth, strict=True)]
        rows.append((estimate_of(np.stack(gain)).p < ALPHA, *covered, estimate_of(temperature).p < ALPHA))
    return dict(zip(("AURC", "AUROC", "ECE", "T"), np.mean(rows, axis=0).tolist(), strict=True))


def _truth(seen: Answers) -> tuple[float, float]:
    """AUROC and ECE of one network."""
    probs, labels = _too_sure(seen)
    auroc = float(influence.of_auroc(seen.one[0], ~seen.correct[0]).mean())
    return auroc, expected_calibration_error(probs[0], labels[0])


def _too_sure(seen: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (S, N, 2) of networks that claim to be surer than they are, and labels (S, N) to go with them."""
    probs = probabilities(2 * np.log(seen.probs + 1e-300))
    return probs, np.where(seen.correct, probs.argmax(axis=2), 1 - probs.argmax(axis=2))


def of_comparisons(number: int, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """A row per number of seeds, shift and chance of wild recipes, rates in percent, effects in points."""
    worlds = [World(seeds=seeds, shift=shift) for seeds, shift in product(SEEDS, SHIFTS)]
    worlds += [World(seeds=seeds, shift=SHIFTS[1], wild=WILD) for seeds in SEEDS if seeds >= MIN_SEEDS]
    for world in worlds:
        row = {"shift": world.shift, "wild": world.wild or np.nan} | verdicts(world, number, rng)
        row |= power(world, number, rng) if world.seeds >= MIN_SEEDS else {}
        yield {"seeds": world.seeds} | {name: 100 * value for name, value in row.items()}


def of_scores(number: int, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """A row per number of networks and of images, rates in percent."""
    for seeds, images in product((1, 3), (500, 10_000)):
        rates = scores(World(images=images, seeds=seeds), number, rng)
        yield {"seeds": seeds, "images": images} | {name: 100 * value for name, value in rates.items()}


def main() -> None:
    """Print the tables."""
    from tabulate import tabulate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500, help="made-up studies per row; default 500")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    told = parser.parse_args()
    rng = np.random.default_rng(told.seed)
    for title, rows in ((f"{len(plan())} comparisons", of_comparisons), ("Scores of confidence", of_scores)):
        found = []
        for row in rows(told.studies, rng):
            found.append(row)
            print(row, file=sys.stderr, flush=True)  # hours may pass before the whole table
        print(f"{title}, {told.studies} studies per row; % and points")
        print(tabulate(found, headers="keys", floatfmt=".2f"), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
