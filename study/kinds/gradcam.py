"""Grad-CAM: where networks looked when they were right, and when they were most confidently wrong.

Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391; faithfulness by ROAD, Rong et al. 2022,
https://arxiv.org/abs/2202.00449; both as implemented by the grad-cam package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.metrics.calibration import probabilities
from study.records import Outcome, Predictions

if TYPE_CHECKING:
    from torch import Tensor

    from study.models.classifier import Classifier

ROAD_PERCENTILES = [20, 40, 60, 80]
ABSENT = -1
MOST_CLASSES = 40
BATCH = 20  # images whose activations are kept at a time
# Nominal: of filling in an image's removed pixels, and forward passes that its map and its scores amount to.
FILLING_SECONDS, PASSES = 0.05, 40


@dataclass(frozen=True, kw_only=True)
class GradCam(Kind):
    """Class activation maps of the sources, and their ROAD, for images chosen by the last one's test predictions.

    ROAD compares the sources, so it is of up to ``road_images`` test images, evenly spaced, that all of them classify
    correctly.
    Arrays: ``images`` (K, 3, H, W) uint8, ``targets`` and ``predicted`` (K,) classes, by the labels and by the last
    network, ``maps`` (M, K, H, W) in [0, 1] of the M sources, ``road`` (M, R) the scores of R such images, and per
    class the row of its ``correct`` and its ``wrong`` image (C,), ``ABSENT`` where there is none.
    """

    sources: tuple[str, ...] = reads()
    road_images: int = 10  # in records of before it was a setting

    def carry_out(self, context: Context) -> Outcome:
        from study.data.datasets import evenly

        predictions = context.run(self.sources[-1]).predictions("test")
        correct, wrong = choose(predictions, len(context.dataset.classes))
        taken = np.array([i for pair in zip(correct, wrong, strict=True) for i in pair if i != ABSENT])
        images, targets = context.dataset.with_numbers(predictions.indices[taken]), predictions.labels[taken]
        rows = {index: row for row, index in enumerate(taken)} | {ABSENT: ABSENT}
        correct, wrong = (np.array([rows[index] for index in chosen]) for chosen in (correct, wrong))
        runs = [context.run(key) for key in self.sources]
        agreed = np.flatnonzero(np.all([run.predictions("test").correct for run in runs], axis=0))
        asked = agreed[evenly(len(agreed), self.road_images).numpy()]
        measured, truth = context.dataset.with_numbers(predictions.indices[asked]), predictions.labels[asked]
        maps, scores = [], []
        for run in runs:
            model, setting = context.network(run)
            model = model.cpu()  # where it stays: ROAD fills pixels in by SciPy
            maps.append(activation_maps(model, setting.size, images, targets))
            marked = activation_maps(model, setting.size, measured, truth)
            scores.append(road(model, setting.size, measured, marked, truth))
        arrays = {
            "images": images.numpy(),
            "targets": targets,
            "predicted": predictions.predicted[taken],
            "maps": np.stack(maps),
            "correct": correct,
            "wrong": wrong,
            "road": np.stack(scores),
        }
        return Outcome({}, arrays)

    def cost(self, scale: Scale) -> float:
        networks = sum(scale.forward(key, PASSES * self.road_images, views=1) for key in self.sources)
        return networks + FILLING_SECONDS * self.road_images * len(self.sources)


def choose(predictions: Predictions, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Per true class the correct image of median confidence and the most confidently wrong one, (C,) each.

    Positions in the predictions, ``ABSENT`` where a class has no such image, or is not among the ``MOST_CLASSES``,
    evenly spaced, that are looked at of many. The median rather than the most confident: the surest image is seldom
    typical.
    """
    confidence = probabilities(predictions.logits).max(axis=1)
    chosen = np.full((2, classes), ABSENT)
    for label in np.unique(np.linspace(0, classes - 1, min(classes, MOST_CLASSES)).round().astype(int)):
        right = np.flatnonzero(predictions.correct & (predictions.labels == label))
        wrong = np.flatnonzero(~predictions.correct & (predictions.labels == label))
        if len(right):
            chosen[0, label] = right[np.argsort(confidence[right], kind="stable")[len(right) // 2]]
        if len(wrong):
            chosen[1, label] = wrong[confidence[wrong].argmax()]
    return chosen[0], chosen[1]


def activation_maps(model: Classifier, size: int, images: Tensor, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM (K, H, W) in [0, 1] for the classes ``targets`` (K,) of uint8 images (K, 3, H, W), at their size.

    The network sees them at ``size`` px.
    """
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torch import from_numpy

    from study.models.classifier import prepare, resize

    maps = np.empty((len(images), size, size), dtype=np.float32)
    with GradCAM(model=model, target_layers=[model.feature_layer]) as cam:
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            wanted = [ClassifierOutputTarget(int(target)) for target in targets[part]]
            maps[part] = cam(input_tensor=prepare(images[part], size, model), targets=wanted)
    return resize(from_numpy(maps)[:, None], images.shape[-1])[:, 0].numpy()


def road(model: Classifier, size: int, images: Tensor, maps: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """ROAD scores (K,) of maps (K, H, W) for uint8 images (K, 3, H, W): (least - most relevant first) / 2.

    Positive when removing what the map calls relevant lowers the true class's probability more than
    removing the rest. Pixels are removed from the stored image, before it is enlarged to ``size`` px for the
    network: enlarging adds none. The noise that fills removed pixels is drawn from a fixed seed.
    """
    import torch
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    from study.models.classifier import prepare, resize
    from study.streams import globally_seeded

    if not len(images):
        return np.empty(0)
    stored = prepare(images, images.shape[-1], model)
    measured = [ClassifierOutputSoftmaxTarget(int(target)) for target in targets]
    with globally_seeded(0), torch.inference_mode():
        metric = ROADCombined(percentiles=ROAD_PERCENTILES)
        scores = metric(stored, maps, measured, lambda x: torch.cat([model(resize(p, size)) for p in x.split(BATCH)]))
    return np.asarray(scores, dtype=float)
