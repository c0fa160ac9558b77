from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from study.data.augmentation import fixed_view
from study.data.datasets import Dataset
from study.errors import StudyError
from study.experiment import Architecture, Augmentation, Distillation, Recipe, Stage
from study.inference import evaluation, offload
from study.inference.offload import Offloaded
from study.machine import Machine
from study.models.classifier import build
from study.training.objective import Batch, SoftLabels, Streams
from study.training.trainer import Diverged, Progress, Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Architecture("compact_cnn_small", dropout=0.2)
FULL = Augmentation(flip=True, crop=2, rotation=10.0, jitter=0.2, cutout=4)
TWO_STAGES = Recipe(
    (Stage(1, 1e-3, 32, FULL, trains="head", mixup=0.3), Stage(2, 2e-3, 32, FULL, warmup=0.2)),
    batch_size=20, weight_decay=0.05, label_smoothing=0.1,
)  # fmt: skip


def trainer(
    recipe: Recipe, dataset: Dataset, cpu: Machine, seed: int = 0, architecture: Architecture = SMALL
) -> Trainer:
    return Trainer(build(architecture, 10, seed), recipe, dataset, cpu, seed)


def test_growing_images_are_trained_and_judged_at_each_epochs_size(digits: Dataset, cpu: Machine) -> None:
    grown = trainer(Recipe((Stage(2, 3e-3, 32, first_size=24),), 20), digits, cpu)
    seen: list[int] = []
    grown.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    grown.fit()
    assert seen == [24] * 5 + [32] * 5  # four steps and one batch of validation images an epoch


def test_every_image_is_mirrored_every_other_time(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = trainer(Recipe((Stage(1, 1e-3, 32), Stage(2, 1e-3, 32)), 20), digits, cpu)
    seen: list[tuple[bytes, bool]] = []
    plain = t.objective.loss

    def spy(batch: Batch, stage: Stage, streams: Streams) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend((image.numpy().tobytes(), bool(m)) for image, m in zip(batch.images, batch.mirrored, strict=True))
        return plain(batch, stage, streams)

    monkeypatch.setattr(t.objective, "loss", spy)
    t.fit()
    first, second, third = (dict(seen[start : start + 80]) for start in (0, 80, 160))
    assert first == third == {image: not mirrored for image, mirrored in second.items()}
    assert 20 < sum(first.values()) < 60


def test_epochs_are_judged_on_validation_images_evenly_spaced(digits: Dataset, cpu: Machine) -> None:
    recipe = Recipe((Stage(1, 3e-3, 32),), 20)
    t = Trainer(build(SMALL, 10, 0), recipe, digits, cpu, 0, monitored=10)
    (row,) = t.fit()
    judged = digits.validation[np.linspace(0, len(digits.validation) - 1, 10).round().astype(int)]
    scores = evaluation.logits(t.model, digits.images[judged], evaluation.Setting(32), cpu)
    expected = evaluation.loss_and_accuracy(scores, digits.labels[judged])
    assert (row["validation_loss"], row["validation_accuracy"]) == pytest.approx(expected)


def test_training_learns_the_training_set(digits: Dataset, cpu: Machine) -> None:
    rows = trainer(Recipe((Stage(12, 3e-3, 32),), 20), digits, cpu).fit()
    assert rows[-1]["train_accuracy"] > 0.9 > rows[0]["train_accuracy"]


def test_muon_learns_the_training_set(digits: Dataset, cpu: Machine) -> None:
    stage = Stage(4, 0.06, 32, schedule="linear")
    rows = trainer(Recipe((stage,), 20, optimizer="muon", weight_decay=0.2), digits, cpu).fit()
    assert rows[-1]["train_accuracy"] > 0.9 > rows[0]["train_accuracy"]


def changed_by_training(stage: Stage, digits: Dataset, cpu: Machine) -> set[str]:
    """Names of the tensors of an EfficientNet-Lite0 that the stage changes."""
    t = trainer(Recipe((stage,), 40), digits, cpu, architecture=Architecture("tf_efficientnet_lite0"))
    before = copy.deepcopy(t.model.state_dict())
    t.fit()
    return {name for name, value in t.model.state_dict().items() if not torch.equal(value, before[name])}


def test_frozen_groups_keep_their_weights_and_statistics(digits: Dataset, cpu: Machine) -> None:
    changed = changed_by_training(Stage(1, 1e-2, 32, frozen_groups=3), digits, cpu)
    first = ("backbone.conv_stem.", "backbone.bn1.", "backbone.blocks.0.", "backbone.blocks.1.")
    assert not [name for name in changed if name.startswith(first)]
    assert {"backbone.blocks.2.0.conv_pw.weight", "backbone.blocks.2.0.bn1.running_mean"} <= changed


def test_frozen_depthwise_filters_keep_their_weights_and_their_norms_adapt(digits: Dataset, cpu: Machine) -> None:
    changed = changed_by_training(Stage(1, 1e-2, 32, frozen_depthwise=True), digits, cpu)
    assert not [name for name in changed if name.endswith("conv_dw.weight")]
    assert {
        "backbone.conv_stem.weight",
        "backbone.blocks.2.0.bn2.weight",
        "backbone.blocks.2.0.bn2.running_var",
    } <= changed


def test_own_network_has_no_groups_to_freeze(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(StudyError, match="need a timm backbone"):
        trainer(Recipe((Stage(1, 1e-2, 32, frozen_groups=1),), 40), digits, cpu).fit()


def test_head_only_leaves_the_backbone_untouched(digits: Dataset, cpu: Machine) -> None:
    t = trainer(Recipe((Stage(2, 1e-2, 32, trains="head"),), 20), digits, cpu)
    before = copy.deepcopy(t.model.state_dict())
    t.fit()
    changed = {name for name, value in t.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("worth_exporting", [0, offload.WORTH_EXPORTING], ids=["runtime", "torch"])
def test_cached_features_train_the_same_head_as_recomputed_ones(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch, worth_exporting: int
) -> None:
    # Not by Adam, whose steps make much of small gradients' rounding.
    recipe = Recipe((Stage(2, 1e-2, 32, trains="head"),), 20, "sgd", label_smoothing=0.1)
    cached = trainer(recipe, digits, cpu, architecture=replace(SMALL, dropout=0.0))
    with monkeypatch.context() as patch:
        patch.setattr(offload, "WORTH_EXPORTING", worth_exporting)
        used = Mock(wraps=Offloaded)
        patch.setattr(offload, "Offloaded", used)
        rows = cached.fit()
    assert used.called == (worth_exporting == 0)
    monkeypatch.setattr(Trainer, "features_are_cached", lambda *_: False)
    recomputed = trainer(recipe, digits, cpu, architecture=replace(SMALL, dropout=0.0))
    losses = [row["validation_loss"] for row in recomputed.fit()]
    assert [row["validation_loss"] for row in rows] == pytest.approx(losses, abs=1e-5)
    assert torch.allclose(cached.model.classifier.weight, recomputed.model.classifier.weight, atol=1e-5)


HEAD = Stage(2, 1e-2, 32, trains="head")


@pytest.mark.parametrize(
    ("stage", "architecture", "cached"),
    [
        (HEAD, SMALL, True),
        (replace(HEAD, trains="all"), SMALL, False),
        (replace(HEAD, augmentation=Augmentation(flip=True)), SMALL, False),
        (replace(HEAD, mixup=0.2), SMALL, False),
        (replace(HEAD, first_size=24), SMALL, False),
        (HEAD, replace(SMALL, attention="se"), False),
        (HEAD, replace(SMALL, auxiliary="rotation"), False),
    ],
)
def test_features_are_cached_only_where_nothing_before_the_head_changes(
    digits: Dataset, cpu: Machine, stage: Stage, architecture: Architecture, cached: bool
) -> None:
    t = trainer(Recipe((stage,), 20), digits, cpu, architecture=architecture)
    assert t.features_are_cached(stage) == cached


def test_features_of_views_taken_in_turn_are_not_cached(digits: Dataset, cpu: Machine) -> None:
    t = trainer(Recipe((HEAD,), 20, fixed_views=2), digits, cpu)
    assert not t.features_are_cached(HEAD)


def test_soft_labels_count_in_all_epochs_of_all_stages(digits: Dataset, cpu: Machine) -> None:
    recipe = Recipe((Stage(1, 1e-3, 32), Stage(2, 1e-3, 32)), 20, fixed_views=2)
    soft = SoftLabels(torch.full((2, 80, 10), 0.1), Distillation((), weight=0.5))
    losses = [
        [row["train_loss"] for row in Trainer(build(SMALL, 10, 0), recipe, digits, cpu, 0, labels).fit()]
        for labels in (None, soft)
    ]
    assert all(abs(alone - student) > 1e-3 for alone, student in zip(*losses, strict=True))


def test_answers_for_another_number_of_views_are_refused(digits: Dataset, cpu: Machine) -> None:
    soft = SoftLabels(torch.full((3, 80, 10), 0.1), Distillation(()))
    with pytest.raises(StudyError, match="the teacher answered for 3 views, not 2"):
        Trainer(build(SMALL, 10, 0), Recipe((HEAD,), 20, fixed_views=2), digits, cpu, 0, soft)


def test_mixup_of_a_teachers_answers_is_refused(digits: Dataset, cpu: Machine) -> None:
    soft = SoftLabels(torch.full((2, 80, 10), 0.1), Distillation(()))
    recipe = Recipe((Stage(1, 0.01, 32, mixup=0.2),), 20, fixed_views=2)
    with pytest.raises(StudyError, match="MixUp mixes labels alone"):
        Trainer(build(SMALL, 10, 0), recipe, digits, cpu, 0, soft)


def test_same_seed_gives_bit_identical_weights(digits: Dataset, cpu: Machine) -> None:
    first, second = (trainer(TWO_STAGES, digits, cpu) for _ in range(2))
    first.fit(), second.fit()
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))
    other = trainer(TWO_STAGES, digits, cpu, seed=1)
    other.fit()
    assert not torch.equal(first.model.classifier.weight, other.model.classifier.weight)


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 2])
def test_resumed_run_equals_uninterrupted_run(digits: Dataset, cpu: Machine, killed_after: int) -> None:
    resumed, whole = resumed_and_whole(lambda: trainer(TWO_STAGES, digits, cpu), killed_after)
    assert resumed == whole


AVERAGED = replace(TWO_STAGES, averaging=0.7)


def test_resumed_run_with_averaged_weights_equals_uninterrupted_run(digits: Dataset, cpu: Machine) -> None:
    resumed, whole = resumed_and_whole(lambda: trainer(AVERAGED, digits, cpu), killed_after=2)
    assert resumed == whole


def test_the_average_of_the_weights_follows_its_formula_and_is_what_is_judged(digits: Dataset, cpu: Machine) -> None:
    t = trainer(Recipe((Stage(2, 3e-3, 32),), 20, averaging=0.7), digits, cpu)
    weight, plain = t.model.classifier.weight, t.step
    seen: list[torch.Tensor] = []

    def step(*given: object) -> tuple[torch.Tensor, torch.Tensor]:
        outcome = plain(*given)  # type: ignore[arg-type]
        seen.append(weight.detach().clone())
        return outcome

    t.step = step  # type: ignore[method-assign]
    rows = t.fit()
    expected = seen[0]
    for after in seen[1:]:
        expected = 0.7 * expected + 0.3 * after
    assert torch.allclose(t.result.classifier.weight, expected, atol=1e-6) and t.result is not t.model
    scores = evaluation.logits(t.result, digits.images[t.monitored], evaluation.Setting(32), cpu)
    judged = evaluation.loss_and_accuracy(scores, digits.labels[t.monitored])
    assert judged == pytest.approx((rows[-1]["validation_loss"], rows[-1]["validation_accuracy"]))


def test_without_averaging_the_result_is_the_model(digits: Dataset, cpu: Machine) -> None:
    t = trainer(TWO_STAGES, digits, cpu)
    assert t.result is t.model


def test_each_layer_has_its_share_of_the_next_ones_rate(digits: Dataset, cpu: Machine) -> None:
    stage = Stage(1, 0.1, 32, schedule="constant")
    t = trainer(Recipe((stage,), 40, layer_decay=0.5), digits, cpu, architecture=Architecture("resnet18"))
    phase = t.begin(stage)
    t.train_mode(stage)
    t.step(phase, 0, t.order(0)[0], Streams.of(0, 0))
    names = {parameter: name for name, parameter in t.model.named_parameters()}
    rates = {names[p]: group["lr"] for group in phase.optimizer.param_groups for p in group["params"]}
    assert rates["classifier.weight"] == pytest.approx(0.1)
    assert rates["backbone.layer4.1.conv2.weight"] == pytest.approx(0.05)
    assert rates["backbone.layer4.0.conv1.weight"] == pytest.approx(0.025)
    assert rates["backbone.conv1.weight"] == pytest.approx(0.1 / 2**9), "eight blocks and the stem lie below"


def test_rates_by_layer_need_layers(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(StudyError, match="frozen_groups and layer_decay need a timm backbone"):
        trainer(Recipe((Stage(1, 1e-2, 32),), 40, layer_decay=0.8), digits, cpu).fit()


def test_a_stem_that_has_settled_changes_no_more(digits: Dataset, cpu: Machine) -> None:
    def stems(stem_epochs: int) -> list[bytes]:
        t, seen = trainer(Recipe((Stage(3, 0.06, 32, stem_epochs=stem_epochs),), 20, "muon"), digits, cpu), []
        t.fit(on_epoch=lambda _: seen.append(t.model.backbone.stem.norm.weight.detach().numpy().tobytes()))
        return seen

    frozen, free = stems(1), stems(0)
    assert frozen[0] == frozen[1] == frozen[2] == free[0] and len(set(free)) == 3


def test_resumed_run_with_a_frozen_stem_equals_uninterrupted_run(digits: Dataset, cpu: Machine) -> None:
    recipe = Recipe((Stage(3, 0.06, 32, FULL, stem_epochs=1),), 20, "muon", weight_decay=0.03)
    for killed_after in (1, 2):
        resumed, whole = resumed_and_whole(lambda: trainer(recipe, digits, cpu), killed_after)
        assert resumed == whole


@pytest.mark.slow
def test_resumed_run_with_layers_in_the_runtime_equals_uninterrupted_run(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "WORTH_EXPORTING", 0)
    recipe = Recipe((Stage(2, 1e-3, 40, FULL, frozen_groups=3, first_size=32),), 20)
    backbone = Architecture("tf_efficientnet_lite0")
    resumed, whole = resumed_and_whole(lambda: trainer(recipe, digits, cpu, architecture=backbone), killed_after=1)
    assert resumed == whole


def resumed_and_whole(make: Callable[[], Trainer], killed_after: int) -> list[tuple[list[float], list[bytes]]]:
    """Training losses and the bits of all weights: of a training killed after some epochs, and of one left alone."""
    saved: list[Progress] = []

    def kill(progress: Progress) -> None:
        if len(progress.rows) == killed_after:
            saved.append(copy.deepcopy(progress))
            raise Killed

    with pytest.raises(Killed):
        make().fit(on_epoch=kill)
    outcomes = []
    for start in (saved[0], None):
        t = make()
        losses = [row["train_loss"] for row in t.fit(start)]
        outcomes.append((losses, [weights.numpy().tobytes() for weights in t.result.state_dict().values()]))
    return outcomes


def test_batch_larger_than_the_data_is_refused(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(StudyError, match="batch size 81 is larger than the 80 training images"):
        trainer(Recipe((Stage(1, 1e-3, 32),), 81), digits, cpu)


def test_divergence_is_named(digits: Dataset, cpu: Machine) -> None:
    with pytest.raises(Diverged, match="diverged in epoch 1.*lower the learning rate"):
        trainer(Recipe((Stage(1, 1e30, 32, schedule="constant"),), 20, optimizer="sgd"), digits, cpu).fit()


def test_a_network_that_fails_on_validation_images_alone_has_diverged_too(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "loss_and_accuracy", lambda *_: (math.inf, 0.1))
    with pytest.raises(Diverged, match="diverged in epoch 1"):
        trainer(Recipe((Stage(1, 1e-3, 32),), 20), digits, cpu).fit()


def test_weights_decay_apart_from_the_gradient_and_biases_do_not(digits: Dataset, cpu: Machine) -> None:
    t = trainer(TWO_STAGES, digits, cpu)
    optimizer = t.begin(TWO_STAGES.stages[-1]).optimizer
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert type(optimizer) is torch.optim.AdamW
    assert decay[id(t.model.classifier.weight)] == 0.05 and decay[id(t.model.classifier.bias)] == 0.0


def test_recorded_loss_is_the_mean_of_the_steps(digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    t, losses = trainer(Recipe((Stage(1, 1e-3, 32),), 20), digits, cpu), list[float]()
    step = t.step

    def noted(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        loss, hits = step(*given)
        losses.append(float(loss))
        return loss, hits

    monkeypatch.setattr(t, "step", noted)
    (row,) = t.fit()
    assert len(losses) == 4 and row["train_loss"] == pytest.approx(np.mean(losses))


def test_epochs_differ_in_order_and_in_chance(digits: Dataset, cpu: Machine) -> None:
    t = trainer(TWO_STAGES, digits, cpu)
    assert not torch.equal(torch.cat(t.order(0)), torch.cat(t.order(1)))
    first, second = Streams.of(0, 0), Streams.of(0, 1)
    assert first.augmentation.initial_seed() != second.augmentation.initial_seed()
    assert first.rotation.initial_seed() != second.rotation.initial_seed()
    assert first.mixup.random() != second.mixup.random()


def test_dropout_differs_from_epoch_to_epoch(digits: Dataset, cpu: Machine) -> None:
    t, drawn = trainer(Recipe((Stage(2, 1e-3, 32),), 80), digits, cpu), list[torch.Tensor]()
    t.model.dropout.register_forward_hook(lambda module, _, out: drawn.append(out == 0) if module.training else None)
    t.fit()
    assert len(drawn) == 2 and not torch.equal(*drawn)


def test_views_are_those_of_the_runs_own_seed(digits: Dataset, cpu: Machine) -> None:
    stage, chosen = Stage(2, 1e-3, 32, FULL), torch.arange(20)
    t = trainer(Recipe((stage,), 20, fixed_views=2), digits, cpu, seed=1)
    assert torch.equal(t._batch(chosen, stage, 1).images, fixed_view(t.images, FULL, 1, 1)[chosen])


def test_rows_say_what_the_record_promises(digits: Dataset, cpu: Machine) -> None:
    rows = trainer(TWO_STAGES, digits, cpu).fit()
    assert [(row["epoch"], row["stage"]) for row in rows] == [(1, 0), (2, 1), (3, 1)]
    assert set(rows[0]) == {
        "epoch", "stage", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate",
        "seconds", "images_per_second",
    }  # fmt: skip


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "efficientnet_b0", "mobilenetv3_small_100"])
def test_paper_backbones_train_a_step_in_bfloat16(
    digits: Dataset, cpu: Machine, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "precision", lambda self, requested: requested)
    few = replace(digits, train=digits.train[:8], validation=digits.validation[:4])
    recipe = Recipe((Stage(1, 1e-3, 32, FULL),), 8, precision="bfloat16")
    t, computed = trainer(recipe, few, cpu, architecture=Architecture(backbone)), set[torch.dtype]()
    t.model.classifier.register_forward_hook(lambda module, _, out: computed.add(out.dtype))
    assert math.isfinite(t.fit()[0]["train_loss"])
    assert computed == {torch.bfloat16}
