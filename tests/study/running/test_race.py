from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from study.data import datasets
from study.data.datasets import Dataset
from study.errors import StudyError
from study.experiment import Subset
from study.machine import Machine
from study.running import airbench, race
from study.running.airbench import AirbenchNet
from study.running.race import Lap, macs

pytestmark = pytest.mark.usefixtures("one_thread")
LAPS = [
    Lap("CompactCNN", 0, 13, 60.0, 4e12, 0.92),
    Lap("airbench94", 0, 8, 100.0, 5e12, 0.93),
    Lap("CompactCNN", 1, 13, 80.0, 4e12, 0.94),
    Lap("airbench94", 1, 8, 100.0, 5e12, 0.93),
]


def test_macs_are_those_of_the_convolutions_and_the_head() -> None:
    network = AirbenchNet(10, ((0.5,) * 3, (0.5,) * 3))
    convolutions = ((24, 64, 31), (64, 64, 15), (64, 256, 15), (256, 256, 7), (256, 256, 7), (256, 256, 3))
    assert macs(network, 32) == sum(9 * i * o * side**2 for i, o, side in convolutions) + 12 * 24 * 31**2 + 2560


def test_the_table_has_mean_and_sd_over_seeds_and_the_ratio_of_times() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(race.standing(LAPS))
    shown = console.export_text()
    assert "70.0 ± 14.1" in shown and "93.00 ± 1.41" in shown and "ours / airbench94: 0.70" in shown


def test_a_finished_lap_is_printed_before_the_next_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], digits: Dataset
) -> None:
    asked = []

    def killed(epochs: int, dataset: Dataset, where: Machine, seeds: list[int]) -> object:
        asked.append((epochs, seeds))
        yield LAPS[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(race, "race", killed)
    monkeypatch.setattr(datasets, "load", lambda subset: digits)
    with pytest.raises(KeyboardInterrupt):
        race.main(13, seeds=[0, 1])
    assert asked == [(13, [0, 1])]
    assert json.loads(capsys.readouterr().out)["seconds"] == 60.0


@pytest.mark.slow
def test_both_sides_train_their_own_schedule_on_the_same_images(cpu: Machine) -> None:
    laps = list(race.race(2, datasets.load("digits", subset=Subset(250, 40)), cpu))
    assert [(lap.name, lap.seed, lap.epochs) for lap in laps] == [
        ("CompactCNN", 0, 2),
        ("airbench94", 0, 8),
    ]
    assert laps[1].macs == 8 * 250 * macs(AirbenchNet(10, ((0.5,) * 3, (0.5,) * 3)), airbench.SIZE)
    for lap in laps:
        assert lap.seconds > 0 and 0 <= lap.validation_accuracy <= 1


def test_a_race_that_cannot_be_is_refused(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match="at least one epoch, not 0"):
        race.main(0)
    monkeypatch.setattr(race.datasets, "load", lambda subset: digits)
    with pytest.raises(StudyError, match=f"cannot be on 5 training images, but on {len(digits.train)}"):
        race.main(1, 5)
