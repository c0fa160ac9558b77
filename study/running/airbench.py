"""airbench94 with Muon: the published network and training that the race measures CompactCNN against.

Jordan 2024, https://arxiv.org/abs/2404.00498 and https://github.com/KellerJordan/cifar10-airbench
(``airbench94_muon.py``), written anew from its description. Different here:

* autocast over float32 weights instead of half-precision weights, and no compilation, as on the other side;
* batches are cropped one by one and mirrored afterwards, which draws from the same distribution;
* Muon orthogonalises in float32 where bfloat16 is emulated, as on the other side;
* a training set smaller than a batch is one batch.
"""

from __future__ import annotations

import time

import torch
from timm.optim.muon import Muon
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from study.data.augmentation import augment, mirrored_first
from study.data.datasets import Dataset
from study.experiment import Augmentation, Precision
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.classifier import Statistics, fit_input, prepare
from study.streams import derive, globally_seeded, torch_generator
from study.training.muon import iterate_on

EPOCHS, WHITENING_EPOCHS, BATCH, SIZE = 8, 3, 2_000, 32
BIAS_RATE, HEAD_RATE, FILTER_RATE = 0.053, 0.67, 0.24  # for a loss summed over the batch
BIAS_MOMENTUM, FILTER_MOMENTUM, ITERATIONS = 0.85, 0.6, 3
DECAY = 2e-6  # per image of a batch and step, the rate included
LABEL_SMOOTHING = 0.2
AUGMENTATION = Augmentation(flip=True, crop=2)
WIDTHS = (64, 256, 256)
WHITENED_IMAGES, WHITENING_EPS = 5_000, 5e-4


class AirbenchNet(nn.Module):
    """Normalised images (N, 3, 32, 32) -> logits (N, C)."""

    def __init__(self, classes: int, statistics: Statistics) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        widths = (24, *WIDTHS)
        groups = (_group(i, o) for i, o in zip(widths, WIDTHS, strict=False))
        self.layers = nn.Sequential(nn.GELU(), *groups, nn.MaxPool2d(3), nn.Flatten())
        self.classifier = nn.Linear(WIDTHS[-1], classes, bias=False)
        with torch.no_grad():
            self.classifier.weight /= self.classifier.weight.std()
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.layers(self.whiten(x))) / WIDTHS[-1]

    @torch.no_grad()
    def fit_whitening(self, x: Tensor) -> None:
        """Make the first layer whiten the 2×2 patches of images (N, 3, H, W), with both signs of each component."""
        patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (components / (variances + WHITENING_EPS).sqrt()).T.reshape(12, 3, 2, 2)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


def _group(inputs: int, width: int) -> nn.Sequential:
    """Two 3×3 convolutions, 2×2 maximum after the first: (N, C, H, W) -> (N, ``width``, H/2, W/2)."""
    first, second = _convolution(inputs, width), _convolution(width, width)
    return nn.Sequential(first, nn.MaxPool2d(2), _norm(width), nn.GELU(), second, _norm(width), nn.GELU())


def _convolution(inputs: int, width: int) -> nn.Conv2d:
    """Its first ``inputs`` filters pass their channel on, the others are random."""
    layer = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def _norm(width: int) -> nn.BatchNorm2d:
    """Batch norm with a bias and no scale, whose statistics are 0.6 of the old and 0.4 of the new."""
    norm = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def network(dataset: Dataset, seed: int) -> AirbenchNet:
    """The network, initialised by the seed."""
    with globally_seeded(derive(seed, "airbench")):
        return AirbenchNet(len(dataset.classes), dataset.statistics)


class Training:
    """Steps of the published training over all epochs; ``steps`` is how many there are."""

    def __init__(self, model: AirbenchNet, dataset: Dataset, where: Machine, precision: Precision, seed: int) -> None:
        self.model = model.to(where.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.where, self.precision = where, precision
        self.images, self.labels = (x[dataset.train].to(where.device) for x in (dataset.images, dataset.labels))
        self.batch = min(BATCH, len(self.labels))
        self.per_epoch = len(self.labels) // self.batch
        self.steps, self.whitening_steps = EPOCHS * self.per_epoch, WHITENING_EPOCHS * self.per_epoch
        self.generator = torch_generator(seed, "airbench")
        self.mirrored = mirrored_first(len(self.labels), seed).to(where.device)
        self.optimizers = self._optimizers()
        self.schedules = self._schedules()
        self.model.fit_whitening(prepare(self.images[:WHITENED_IMAGES], SIZE, model))

    def _optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Of biases and head, by SGD, and of filters."""
        trained = [each for each in self.model.layers.parameters() if each.requires_grad]
        sides = {
            BIAS_RATE: ([self.model.whiten.bias], [each for each in trained if each.ndim == 1]),
            HEAD_RATE: ([self.model.classifier.weight],),
        }
        groups = [
            {"params": each, "lr": rate, "weight_decay": DECAY * self.batch / rate}
            for rate, lists in sides.items()
            for each in lists
        ]
        self.filters = [each for each in trained if each.ndim == 4]
        iterate_on(self.where)
        muon = Muon(
            self.filters,
            lr=FILTER_RATE,
            momentum=FILTER_MOMENTUM,
            nesterov=True,
            ns_steps=ITERATIONS,
            ns_coefficients="original",
            adjust_lr_fn="original",
        )
        return torch.optim.SGD(groups, momentum=BIAS_MOMENTUM, nesterov=True), muon

    def _schedules(self) -> tuple[LambdaLR, LambdaLR]:
        """Every rate falls to zero along a line, that of the whitening's bias within its epochs."""

        def whole(step: int) -> float:
            return 1 - step / self.steps

        def whitening(step: int) -> float:
            return max(0.0, 1 - step / self.whitening_steps)

        biases, filters = self.optimizers
        return LambdaLR(biases, [whitening, whole, whole]), LambdaLR(filters, whole)

    def order(self) -> Tensor:
        """Indices of the training images of one epoch, (N,)."""
        return torch.randperm(len(self.labels), generator=self.generator).to(self.where.device)

    def epoch(self, number: int) -> None:
        """Epoch ``number`` (from 0); what is left of the images after whole batches is not seen."""
        self.model.train()
        self.model.whiten.bias.requires_grad_(number < WHITENING_EPOCHS)
        for chosen in self.order()[: self.per_epoch * self.batch].split(self.batch):
            self.step(chosen, self.mirrored[chosen] ^ bool(number % 2))

    def step(self, chosen: Tensor, mirrored: Tensor) -> Tensor:
        """One step on the chosen images; their summed loss before it."""
        x = fit_input(augment(self.images[chosen], AUGMENTATION, mirrored, self.generator), SIZE, self.model)
        with self.where.autocast(self.precision):
            scores = self.model(x).float()
        loss = functional.cross_entropy(scores, self.labels[chosen], label_smoothing=LABEL_SMOOTHING, reduction="sum")
        loss.backward()
        self._normalise_filters()
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    @torch.no_grad()
    def _normalise_filters(self) -> None:
        """Give every layer the norm that it would have if each of its filters had norm one."""
        for each in self.filters:
            each *= len(each) ** 0.5 / each.norm()


def train(model: AirbenchNet, dataset: Dataset, where: Machine, precision: Precision, seed: int) -> tuple[int, float]:
    """Train for all epochs; the number of images seen and the seconds that training took."""
    training = Training(model, dataset, where, precision, seed)
    where.wait()
    started = time.perf_counter()
    for number in range(EPOCHS):
        training.epoch(number)
    where.wait()
    return training.steps * training.batch, time.perf_counter() - started


def validation_accuracy(model: AirbenchNet, dataset: Dataset, where: Machine, precision: Precision) -> float:
    """Accuracy of six views, the two that are not shifted weighing as much as the four that are."""
    images, labels = dataset.images[dataset.validation], dataset.labels[dataset.validation]
    two, six = (evaluation.logits(model, images, Setting(SIZE, precision, views), where) for views in (2, 6))
    return evaluation.loss_and_accuracy(0.25 * two + 0.75 * six, labels)[1]
