from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study.design import levels
from study.design.presets import CPU, OVERNIGHT, PAPER, QUICK, Preset
from study.experiment import Architecture, Experiment, from_data, to_data
from study.kinds import Context, Kind, Scale, Search, Training
from study.kinds.kind import ACTIVATIONS, OPERATIONS, forward, predicted
from study.kinds.training import DEEP_STEP_SECONDS, EXPORT_SECONDS, MUON_SECONDS, START_SECONDS
from study.models.blocks import macs
from study.models.classifier import build
from study.models.compact_cnn import OWN_NETWORKS
from study.records import Outcome
from study.running.estimate import TELLING_SECONDS

ROOT = Path(__file__).parents[3]
IMAGES = {"train": 800, "validation": 100, "test": 200, "ood": 50}


def scale(preset: Preset = QUICK) -> Scale:
    return Scale(IMAGES, {experiment.key: experiment for experiment in levels.experiments(preset)}, bfloat16=False)


@pytest.fixture
def known() -> Iterator[None]:
    """Forget the kinds that the test defines."""
    before = dict(Experiment.kinds)
    yield
    Experiment.kinds.clear()
    Experiment.kinds.update(before)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("carry_out",), "the kind Guess lacks cost"),
        (("cost",), "the kind Guess lacks carry_out"),
        ((), "the kind Guess lacks carry_out and cost"),
    ],
)
def test_a_kind_that_forgets_something_is_refused_when_it_is_defined(
    known: None, given: tuple[str, ...], says: str
) -> None:
    with pytest.raises(TypeError, match=f"^{says}$"):
        type("Guess", (Kind,), dict.fromkeys(given, lambda *_: None))
    assert "Guess" not in Experiment.kinds


def test_a_new_kind_is_read_back_without_being_registered(known: None) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Guess(Kind):
        luck: float

        def carry_out(self, context: Context) -> Outcome:
            return Outcome({"test_accuracy": self.luck})

        def cost(self, scale: Scale) -> float:
            return 0.1

    guess = Guess(level=1, name="guess", luck=0.5)
    assert from_data(to_data(guess)) == guess
    assert (guess.images(scale()), guess.pace, guess.needs, guess.trained) == (0, "Guess", (), None)


def test_every_file_of_the_folder_is_a_kind_and_none_is_heavy() -> None:
    program = (
        "import sys, study.kinds; from study.experiment import Experiment\n"
        "assert not {'torch', 'timm', 'torchvision', 'onnxruntime', 'optuna'} & set(sys.modules)\n"
        "print(*sorted(kind.__module__ for kind in Experiment.kinds.values()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    files = {path.stem for path in (ROOT / "study" / "kinds").glob("*.py")} - {"__init__", "kind"}
    assert done.stdout.split() == sorted(f"study.kinds.{name}" for name in files), done.stderr


@pytest.mark.parametrize("preset", [QUICK, CPU, OVERNIGHT, PAPER], ids=lambda preset: preset.name)
def test_every_experiment_has_a_cost_and_a_pace(preset: Preset) -> None:
    for experiment in levels.experiments(preset):
        assert experiment.cost(scale(preset)) > 0, experiment.key
        assert experiment.pace.startswith(experiment.kind)


def by_key(preset: Preset = QUICK) -> dict[str, Kind]:
    return {experiment.key: experiment for experiment in levels.experiments(preset)}


def training(key: str) -> Training:
    experiment = by_key()[key]
    assert isinstance(experiment, Training)
    return experiment


def test_teachers_in_float_and_in_int8_go_at_paces_of_their_own_and_few_small_images_tell_none() -> None:
    quick, cpu = (by_key(preset)["level5/teacher-1"] for preset in (QUICK, CPU))
    assert quick.pace != cpu.pace
    assert quick.cost(scale(QUICK)) < TELLING_SECONDS < cpu.cost(scale(CPU))


def test_costs_grow_with_the_work() -> None:
    tuned, searched = by_key()["level2/augmented"], by_key()["level2/search"]
    frozen = training("level1/head-only")
    (stage,) = frozen.recipe.stages
    unfrozen = replace(frozen, recipe=replace(frozen.recipe, stages=(replace(stage, trains="all"),)))
    assert frozen.cost(scale()) < unfrozen.cost(scale())
    assert by_key()["level4/hard"].cost(scale()) < tuned.cost(scale()) < searched.cost(scale())


def test_an_image_costs_a_forward_pass_and_in_training_a_backward_pass_of_twice_that() -> None:
    tuned, steps = training("level1/finetuned"), 2 * 800 / 50
    one = forward(tuned.architecture, 40, 1)
    evaluated = IMAGES["validation"] + IMAGES["test"]
    expected = START_SECONDS + steps * DEEP_STEP_SECONDS["tf_efficientnet_lite0"] + one * (2 * 800 * 3 + evaluated)
    assert tuned.cost(scale()) == pytest.approx(expected)
    viewed = replace(tuned, recipe=replace(tuned.recipe, test_views=2))
    assert viewed.cost(scale()) - tuned.cost(scale()) == pytest.approx(one * evaluated)


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_what_is_assumed_of_a_network_of_this_study_is_what_it_computes_and_keeps(name: str) -> None:
    size = 64 if name.endswith("deep") else 32
    model, kept = build(Architecture(name), 10, 0), dict[int, int]()
    assert OPERATIONS[name] == pytest.approx(macs(model, size) / size**2 / 2_000, rel=0.15)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _ = model.train()(torch.randn(8, 3, size, size)).sum()  # which keeps the graph while it is counted
    assert ACTIVATIONS[name] == pytest.approx(sum(kept.values()) / (8 * size**2), rel=0.05)


def test_muon_costs_more_a_step_and_has_a_pace_of_its_own() -> None:
    muon = training("level3/scratch-cnn")
    adam = replace(muon, recipe=replace(muon.recipe, optimizer="adamw"))
    steps = muon.recipe.epochs * 800 // muon.recipe.batch_size
    assert muon.cost(scale()) - adam.cost(scale()) == pytest.approx(steps * MUON_SECONDS)
    assert muon.pace != adam.pace


def test_each_precision_has_a_pace_of_its_own() -> None:
    tuned = training("level1/finetuned")
    assert replace(tuned, recipe=replace(tuned.recipe, precision="bfloat16")).pace != tuned.pace


def test_features_under_a_head_that_trains_alone_are_paid_for_once() -> None:
    frozen = training("level1/head-only")
    (stage,) = frozen.recipe.stages
    one = forward(frozen.architecture, 40, 1)
    assert stage.epochs > 1
    assert frozen.cost(scale()) == pytest.approx(START_SECONDS + EXPORT_SECONDS + one * (800 + 100 + 200))


def test_teachers_cost_as_much_as_the_dearest_candidate_and_students_no_more_for_them() -> None:
    keys = by_key()
    teacher = keys["level5/teacher-1"]
    more = replace(teacher, views=teacher.views + 2)  # type: ignore[call-arg]
    dearest = max(scale().forward(key, 2 * 800) for key in teacher.needs)
    assert more.cost(scale()) - teacher.cost(scale()) == pytest.approx(dearest)
    assert keys["level5/student"].cost(scale()) == keys["level5/student-alone"].cost(scale())


def test_networks_that_are_only_evaluated_count_their_images() -> None:
    keys = by_key()
    dropout, others = keys["level5/mc-dropout"], keys["level5/out-of-distribution"]
    assert dropout.cost(scale()) == pytest.approx(scale().forward("level3/se-head", 100 + 200 + 50))
    assert others.cost(scale()) == pytest.approx(sum(scale().forward(key, 50) for key in others.needs))


def test_an_image_is_evaluated_once_for_each_view_at_test_and_a_teacher_answers_for_each_once() -> None:
    tuned = by_key(CPU)["level1/finetuned"].trained
    assert tuned is not None and tuned.recipe.test_views == 2
    seconds = forward(tuned.architecture, tuned.recipe.stages[-1].image_size, 100)
    assert scale(CPU).forward("level1/finetuned", 100) == pytest.approx(2 * seconds)
    assert scale(CPU).forward("level1/finetuned", 100, views=1) == pytest.approx(seconds)


def test_the_accuracy_is_that_of_the_logits_as_they_are_recorded() -> None:
    nearly_equal = np.array([[0.5, 0.5 + 1e-12], [0.2, 0.8]])
    found = predicted("test", np.arange(2), np.array([1, 1]), nearly_equal)
    assert found.metrics["test_accuracy"] == (found.arrays["test_logits"].argmax(axis=1) == 1).mean() == 0.5


def test_images_are_those_the_trainer_will_report() -> None:
    keys, tuned, search = by_key(), training("level2/augmented"), by_key()["level2/search"]
    assert isinstance(search, Search)
    assert tuned.images(scale()) == tuned.recipe.epochs * 800
    uneven = replace(tuned, recipe=replace(tuned.recipe, batch_size=300))
    assert uneven.images(scale()) == tuned.recipe.epochs * 600, "as the trainer leaves out what fills no batch"
    trials = search.trials * search.trial_epochs * search.trial_images
    assert search.images(scale()) == search.base.recipe.epochs * 800 + trials
    greedy, all_there_are = replace(search, trial_images=5_000), search.trials * search.trial_epochs * 800
    assert greedy.images(scale()) == search.base.recipe.epochs * 800 + all_there_are
    assert keys["level5/teacher-1"].images(scale()) == QUICK.teachers.views * 800
    assert keys["level4/hard"].images(scale()) == 0


def test_the_same_network_at_the_same_size_has_the_same_pace() -> None:
    keys = by_key()
    assert keys["level2/augmented"].pace == keys["level2/plain"].pace
    assert len({keys[key].pace for key in ("level1/head-only", "level1/finetuned", "level2/search")}) == 3
