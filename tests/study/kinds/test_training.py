from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from study import records
from study.data.augmentation import fixed_view
from study.design import levels
from study.experiment import Augmentation, Distillation, Recipe, Stage
from study.inference import evaluation
from study.kinds import Context, Kind, Training, training
from study.kinds.training import soft_labels
from study.models import classifier
from study.models.classifier import load_trained
from study.records import CHECKPOINT, EPOCHS, MODEL, Outcome
from study.running.options import Options
from study.running.study import prepare
from study.training.objective import Batch, Objective, Streams
from study.training.trainer import Progress
from tests.study.kinds.workshop import Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")

VIEWS = 2
AUGMENTATION = Augmentation(flip=True, crop=2)
RECIPE = Recipe((Stage(3, 2e-3, 32, AUGMENTATION),), 20, label_smoothing=0.1, fixed_views=VIEWS)
ALONE = network("alone", RECIPE)
FIRST, SECOND = "level5/first", "level5/second"


def student(*answers: str, weight: float = 0.9) -> Training:
    return replace(ALONE, name="student", distillation=Distillation(answers, weight=weight))


@dataclass
class Seen:
    """What the loss was asked about, step by step."""

    images: list[Tensor]
    labels: list[Tensor]
    teacher: list[Tensor | None]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Seen]:
    """Begin to note what the loss sees."""
    original = Objective.loss

    def begin() -> Seen:
        seen = Seen([], [], [])

        def spy(self: Objective, batch: Batch, stage: Stage, streams: Streams) -> tuple[Tensor, Tensor]:
            seen.images.append(batch.images.clone())
            seen.labels.append(batch.labels.clone())
            seen.teacher.append(batch.teacher)
            return original(self, batch, stage, streams)

        monkeypatch.setattr(Objective, "loss", spy)
        return seen

    return begin


def test_student_and_control_train_on_the_same_views_and_differ_in_the_teacher_alone(
    workshop: Workshop, watched: Callable[[], Seen]
) -> None:
    workshop.answers("first", VIEWS)
    outcomes, seen = [], []
    for experiment in (ALONE, student(FIRST)):
        seen.append(watched())
        outcomes.append(experiment.carry_out(workshop.context(experiment)))
    control, learner = seen
    assert len(control.images) == len(learner.images) == 3 * 80 // 20
    assert all(map(torch.equal, control.images, learner.images))
    assert all(map(torch.equal, control.labels, learner.labels))
    assert all(answer is None for answer in control.teacher) and None not in learner.teacher
    first, second = (outcome.arrays["test_logits"] for outcome in outcomes)
    assert not np.array_equal(first, second)


def test_epochs_take_the_views_in_turn_and_the_teacher_answers_for_the_view_shown(
    workshop: Workshop, watched: Callable[[], Seen]
) -> None:
    _, answers = workshop.answers("first", VIEWS)
    seen, images = watched(), workshop.context(ALONE).images("train")
    student(FIRST).carry_out(workshop.context(student(FIRST)))
    for epoch in range(3):
        view = fixed_view(images, AUGMENTATION, 0, epoch % VIEWS)
        position = {image.numpy().tobytes(): number for number, image in enumerate(view)}
        steps = slice(4 * epoch, 4 * epoch + 4)
        shown = [position[image.numpy().tobytes()] for image in torch.cat(seen.images[steps])]
        assert sorted(shown) == list(range(80))
        teacher = torch.cat([answer for answer in seen.teacher[steps] if answer is not None])
        np.testing.assert_allclose(teacher.exp().numpy(), answers[epoch % VIEWS, shown], rtol=1e-5)


def test_student_whose_teacher_weighs_nothing_is_its_control_bit_for_bit(workshop: Workshop) -> None:
    workshop.answers("first", VIEWS)
    ignored = student(FIRST, weight=0.0)
    alone, same = (each.carry_out(workshop.context(each)).arrays for each in (ALONE, ignored))
    assert alone.keys() == same.keys()
    assert all(np.array_equal(alone[name], same[name]) for name in alone)


def test_soft_labels_of_an_ensemble_are_the_mean_of_its_members_answers(workshop: Workshop) -> None:
    answers = [workshop.answers(name, VIEWS)[1] for name in ("first", "second")]
    how = Distillation((FIRST, SECOND), temperature=3.0)
    soft = soft_labels(how, workshop.context(ALONE))
    np.testing.assert_allclose(soft.probabilities.numpy(), (answers[0] + answers[1]) / 2, rtol=1e-6)
    assert soft.how == how
    single = soft_labels(Distillation((SECOND,)), workshop.context(ALONE))
    assert np.array_equal(single.probabilities.numpy(), answers[1])


def test_what_the_paper_says_of_a_network_is_recorded(workshop: Workshop) -> None:
    plain = network("plain", Recipe((Stage(1, 1e-3, 32),), 30))
    context = workshop.context(plain)
    outcome = plain.carry_out(context)
    run = workshop.record(plain, outcome)
    parameters = sum(p.numel() for p in load_trained(run, 10).parameters())
    assert outcome.metrics["parameters"] == parameters == sum(block[2] for block in outcome.metrics["blocks"])
    told = {name: outcome.metrics[name] for name in ("image_size", "monitored_images", "epochs", "steps")}
    assert told == {"image_size": 32, "monitored_images": 40, "epochs": 1, "steps": 80 // 30}
    assert "teacher" not in outcome.metrics and "teacher_validation_accuracy" not in outcome.metrics
    for split in records.SPLITS:
        assert outcome.metrics[f"{split}_accuracy"] == run.predictions(split).accuracy
    assert {MODEL, EPOCHS} <= set(run.files)


def test_a_finished_network_is_evaluated_on_training_images_spread_evenly(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "FITTED_IMAGES", 40)
    context = workshop.context(ALONE)
    outcome = ALONE.carry_out(context)
    model = load_trained(workshop.record(ALONE, outcome), 10)
    with torch.inference_mode():
        right = model(classifier.prepare(context.images("train")[::2], 32, model)).argmax(1).numpy()
    expected = float((right == context.labels("train")[::2]).mean())
    assert (outcome.metrics["train_accuracy"], outcome.metrics["fitted_images"]) == (expected, 40)


def test_training_leaves_the_global_random_state_alone(workshop: Workshop) -> None:
    before = torch.get_rng_state()
    ALONE.carry_out(workshop.context(ALONE))
    assert torch.equal(before, torch.get_rng_state())


class Killed(Exception):
    pass


def kill_after(epochs: int, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    """Do something that dies as soon as it has saved a checkpoint of so many epochs."""

    save = Progress.save

    def save_then_die(progress: Progress, *where: object) -> None:
        save(progress, *where)  # type: ignore[arg-type]
        if len(progress.rows) == epochs:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "save", save_then_die)
        with pytest.raises(Killed):
            run()


AVERAGED = replace(ALONE, recipe=replace(RECIPE, averaging=0.5))


def test_the_average_of_the_weights_is_what_is_evaluated_and_kept(workshop: Workshop) -> None:
    outcome = AVERAGED.carry_out(workshop.context(AVERAGED))
    kept = load_trained(workshop.record(AVERAGED, outcome), 10)
    context = workshop.context(AVERAGED)
    scores = evaluation.logits(kept, context.images("test"), evaluation.Setting(32), workshop.machine)
    np.testing.assert_allclose(outcome.arrays["test_logits"], scores.numpy(), atol=1e-5)
    plain = ALONE.carry_out(workshop.context(ALONE)).arrays["test_logits"]
    assert not np.allclose(plain, outcome.arrays["test_logits"], atol=1e-3)


@pytest.mark.parametrize(
    ("experiment", "killed_after"), [(ALONE, 1), (student(FIRST), 2), (ALONE, 3), (AVERAGED, 1), (AVERAGED, 3)]
)
def test_killed_and_resumed_run_equals_one_left_alone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, experiment: Training, killed_after: int
) -> None:
    workshop.answers("first", VIEWS)
    whole = experiment.carry_out(workshop.context(experiment))
    rows = records.read_epochs(workshop.context(experiment).folder)
    (workshop.context(experiment).folder / CHECKPOINT).unlink()
    kill_after(killed_after, monkeypatch, lambda: experiment.carry_out(workshop.context(experiment)))
    seen: list[tuple[int, bool]] = []
    context = workshop.context(experiment, lambda images, resumed=False: seen.append((images, resumed)))
    resumed = experiment.carry_out(context)
    assert seen[0] == (killed_after * 80, True), "it says where it goes on"
    assert seen[1:] == [(20, False)] * ((3 - killed_after) * 80 // 20), "the epochs before are not trained again"
    assert np.array_equal(resumed.arrays["test_logits"], whole.arrays["test_logits"])
    losses = [[row["train_loss"] for row in kept] for kept in (rows, records.read_epochs(context.folder))]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    assert resumed.durations["train"] >= resumed.durations["earlier"] > 0 == whole.durations["earlier"]


def rerun(tiny_study: Path, options: Options, key: str, folder: Path) -> tuple[Kind, Outcome]:
    study = prepare(options)
    experiment = next(e for e in levels.experiments(study.preset) if e.key == key)
    context = Context(study.dataset, study.machine, study.folder, folder, 0, lambda *_: None)
    return experiment, experiment.carry_out(context)


@pytest.mark.parametrize("key", ["level2/two-stage-mixup", "level5/compact-student"])
def test_same_spec_and_seed_give_bit_identical_predictions(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, key: str
) -> None:
    recorded = records.load_run(tiny_study / key / "seed-0")
    experiment, outcome = rerun(tiny_study, tiny_options, key, tmp_path)
    assert recorded.experiment == experiment
    assert np.array_equal(outcome.arrays["test_logits"], recorded.arrays["test_logits"])
