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

STATISTICS = (0.5,) * 3, (0.5,) * 3
pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_baseline_is_the_published_network() -> None:
    network = ResNet9(10, STATISTICS)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels) for m in convolutions]
    assert shapes == [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    sides = (32, 32, 16, 16, 16, 8, 4, 4)
    expected = sum(9 * i * o * side**2 for (i, o), side in zip(shapes, sides, strict=True)) + 512 * 10
    assert macs(network, 32) == expected


def test_the_baseline_does_as_much_work_to_within_half_a_step() -> None:
    assert [race.steps_for(work, 10.0) for work in (1.0, 24.9, 25.1, 104.0)] == [2, 2, 3, 10]


@pytest.mark.slow
def test_both_sides_do_the_same_work_on_the_same_images(cpu: Machine) -> None:
    ours, bare = race.race(2, datasets.load("digits", subset=Subset(250, 40)), cpu)
    assert (ours.name, ours.epochs, bare.name) == ("CompactCNN", 2, "ResNet-9")
    assert bare.macs == pytest.approx(bare.epochs * 250 * macs(ResNet9(10, STATISTICS), 32))
    assert bare.macs >= ours.macs > 0 and bare.epochs == 2, "two steps are the least"
    for lap in (ours, bare):
        assert lap.seconds > 0 and 0 <= lap.validation_accuracy <= 1


def test_a_race_of_no_epoch_is_refused(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(StudyError, match="at least one epoch, not 0"):
        race.race(0, digits, cpu)
