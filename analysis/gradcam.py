"""Grad-CAM: where a network looked when it was right, and when it was most confidently wrong.

Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391; faithfulness by ROAD, Rong et al. 2022,
https://arxiv.org/abs/2202.00449; both as implemented by the grad-cam package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.statistics.calibration import probabilities
from analysis.view import StudyView
from study.errors import StudyError
from study.records import MODEL, Predictions, Run

if TYPE_CHECKING:
    from torch import Tensor

# ROAD solves a linear system per image and percentile, which takes most of the time.
ROAD_IMAGES = 10
ROAD_PERCENTILES = [20, 40, 60, 80]


@dataclass(frozen=True)
class Choice:
    """Positions in the test predictions of one class's images; None where there is no such image."""

    correct: int | None
    wrong: int | None


@dataclass(frozen=True)
class Gallery:
    """Networks (runs) and the images to explain.

    ``images`` (K, 3, H, W) uint8, ``targets`` (K,) true classes; ``choices`` gives per class which
    test images were taken, ``positions`` where in ``images`` they are and ``predicted`` what the last
    network takes them for.
    """

    runs: tuple[Run, ...]
    classes: tuple[str, ...]
    images: Tensor
    targets: np.ndarray
    choices: tuple[Choice, ...]
    positions: dict[int, int]
    predicted: dict[int, str]

    @cached_property
    def maps(self) -> list[np.ndarray]:
        """Per run the class activation maps (K, H, W) in [0, 1] at the images' own size."""
        return [activation_maps(run, self.images, self.targets) for run in self.runs]

    @cached_property
    def faithfulness(self) -> list[float]:
        """Per run the mean ROAD score over the correctly classified images chosen."""
        rows = [self.positions[c.correct] for c in self.choices if c.correct is not None][:ROAD_IMAGES]
        chosen = zip(self.runs, self.maps, strict=True)
        return [road(run, self.images[rows], maps[rows], self.targets[rows]) for run, maps in chosen]


def choose(predictions: Predictions, classes: int) -> list[Choice]:
    """Per true class the correct image of median confidence and the most confidently wrong one.

    The median rather than the most confident: the surest image is seldom typical.
    """
    confidence = probabilities(predictions.logits).max(axis=1)
    return [_choice(predictions, confidence, label) for label in range(classes)]


def _choice(predictions: Predictions, confidence: np.ndarray, label: int) -> Choice:
    right = np.flatnonzero(predictions.correct & (predictions.labels == label))
    wrong = np.flatnonzero(~predictions.correct & (predictions.labels == label))
    middle = right[np.argsort(confidence[right], kind="stable")[len(right) // 2]] if len(right) else None
    surest = wrong[confidence[wrong].argmax()] if len(wrong) else None
    return Choice(None if middle is None else int(middle), None if surest is None else int(surest))


def gallery(view: StudyView, keys: Sequence[str]) -> Gallery | None:
    """What to explain for these networks, chosen by the last one's test predictions.

    None while a network has no recorded weights, or when the study's data are no longer at hand.
    """
    runs = [view.runs_of(key)[0] for key in keys if view.runs_of(key)]
    data = view.plan["dataset"]
    present = data["stand_in"] or (data["folder"] and Path(data["folder"]).is_dir())
    if len(runs) < len(keys) or not runs or not present or any(MODEL not in run.files for run in runs):
        return None
    from study.data.datasets import reload

    try:
        dataset = reload(view.plan)
    except StudyError:
        return None
    predictions = runs[-1].predictions("test")
    choices = choose(predictions, len(view.classes))
    taken = [i for choice in choices for i in (choice.correct, choice.wrong) if i is not None]
    images, targets = dataset.images[predictions.indices[taken]], predictions.labels[taken]
    positions = {index: row for row, index in enumerate(taken)}
    predicted = {index: view.classes[predictions.predicted[index]] for index in taken}
    return Gallery(tuple(runs), tuple(view.classes), images, targets, tuple(choices), positions, predicted)


def activation_maps(run: Run, images: Tensor, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM (K, H, W) in [0, 1] for the true classes of uint8 images (K, 3, H, W), at their size."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torch import from_numpy

    from study.models.classifier import image_size, load_trained, prepare, resize

    model = load_trained(run, _classes(run))
    with GradCAM(model=model, target_layers=[model.feature_layer]) as cam:
        wanted = [ClassifierOutputTarget(int(target)) for target in targets]
        maps = cam(input_tensor=prepare(images, image_size(run), model), targets=wanted)
    return resize(from_numpy(maps)[:, None], images.shape[-1])[:, 0].numpy()


def road(run: Run, images: Tensor, maps: np.ndarray, targets: np.ndarray) -> float:
    """Mean ROAD score of maps (K, H, W) for uint8 images (K, 3, H, W): (least - most relevant first) / 2.

    Positive when removing what the map calls relevant lowers the true class's probability more than
    removing the rest. Pixels are removed from the stored image, before it is enlarged for the network:
    enlarging adds none. The noise that fills removed pixels is drawn from a fixed seed.
    """
    import torch
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    from study.models.classifier import image_size, load_trained, prepare, resize

    model, size = load_trained(run, _classes(run)), image_size(run)
    stored = prepare(images, images.shape[-1], model)
    measured = [ClassifierOutputSoftmaxTarget(int(target)) for target in targets]
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        metric = ROADCombined(percentiles=ROAD_PERCENTILES)
        scores = metric(stored, maps, measured, lambda x: model(resize(x, size)))
    return float(np.mean(scores))


def _classes(run: Run) -> int:
    return int(run.arrays["test_logits"].shape[1])
