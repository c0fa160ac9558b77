from __future__ import annotations

import pytest
import torch

from study.data import datasets
from study.data.datasets import Dataset
from study.errors import StudyError
from study.experiment import Subset
from study.machine import Machine
from study.running import race
from study.running.race import ResNet9, macs

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_baseline_is_the_published_network() -> None:
    network = ResNet9(10)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels) for m in convolutions]
    assert shapes == [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    sides = (32, 32, 16, 16, 16, 8, 4, 4)
    expected = sum(9 * i * o * side**2 for (i, o), side in zip(shapes, sides, strict=True)) + 512 * 10
    assert macs(network, 32) == expected


@pytest.mark.slow
def test_both_sides_do_the_same_work_on_the_same_images(cpu: Machine) -> None:
    ours, bare = race.race(2, datasets.load("digits", subset=Subset(250, 40)), cpu)
    assert (ours.name, ours.epochs, bare.name) == ("CompactCNN", 2, "ResNet-9")
    assert bare.macs == pytest.approx(bare.epochs * 250 * macs(ResNet9(10), 32))
    assert abs(bare.macs - ours.macs) <= 250 * macs(ResNet9(10), 32)
    for lap in (ours, bare):
        assert lap.seconds > 0 and 0 <= lap.validation_accuracy <= 1


def test_a_race_of_no_epoch_is_refused(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(StudyError, match="at least one epoch, not 0"):
        race.race(0, digits, cpu)
