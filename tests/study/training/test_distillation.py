from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score

from study.experiment import Architecture, Distillation, Recipe
from study.inference.frozen import WORTH_EXPORTING
from study.machine import Machine
from study.models.classifier import build, fit_input, load_trained
from study.records import MODEL, Run
from study.training.distillation import accuracy, distillation_loss, teachers, teaching
from tests.exported_models import random_images

pytestmark = pytest.mark.usefixtures("one_thread")


def trained(folder: Path, seed: int, validation: float) -> Run:
    """A run that left a random compact network."""
    architecture = Architecture("compact_cnn_small")
    folder.mkdir()
    tensors = build(architecture, 10, seed).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / MODEL)
    spec = {"level": 3, "name": folder.name, "architecture": asdict(architecture), "base": None}
    recipe = asdict(Recipe((), 1))
    metrics = {"validation_accuracy": validation, "image_size": 32}
    return Run(folder, {"experiment": spec | {"recipe": recipe}, "seed": 0}, metrics, {}, {})


def test_distillation_loss_is_the_scaled_divergence() -> None:
    student, teacher, temperature = torch.randn(5, 10), torch.randn(5, 10), 3.0
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    by_hand = (p * (p / q).log()).sum(1).mean() * temperature**2
    assert torch.allclose(distillation_loss(student, teacher, temperature), by_hand, atol=1e-5)
    assert distillation_loss(teacher, teacher, temperature) == pytest.approx(0.0, abs=1e-6)


def test_the_best_on_validation_teach(tmp_path: Path) -> None:
    runs = [trained(tmp_path / name, 0, accuracy) for name, accuracy in (("a", 0.8), ("b", 0.9), ("c", 0.7))]
    for best, names in ((1, "b"), (2, "ba"), (3, "bac")):
        chosen = teachers(Distillation((), best=best), runs)
        assert "".join(run.folder.name for run in chosen) == names


@pytest.mark.parametrize("in_torch", [False, True], ids=["runtime", "torch"])
def test_teachers_answer_by_the_log_of_their_mean_probability(tmp_path: Path, cpu: Machine, in_torch: bool) -> None:
    runs = [trained(tmp_path / str(seed), seed, 0.5) for seed in range(2)]
    x = torch.from_numpy(random_images(6)).float() / 255
    wanted = Distillation((), temperature=3.0, weight=0.6, best=2)
    taught = teaching(wanted, runs, 10, WORTH_EXPORTING - in_torch, cpu)
    models = [load_trained(run, 10) for run in runs]
    with torch.no_grad():
        logits = np.stack([model(fit_input(x, 32, model)).numpy() for model in models])
    expected = np.log(softmax(logits, axis=-1).mean(0))
    assert np.allclose(taught.logits(x).numpy(), expected, atol=1e-4)
    assert taught.plan == wanted


def test_quantised_teachers_answer_much_like_the_others_and_the_same_again(tmp_path: Path, cpu: Machine) -> None:
    runs = [trained(tmp_path / str(seed), seed, 0.5) for seed in range(2)]
    shown = random_images(64)
    x = torch.from_numpy(shown).float() / 255
    wanted = Distillation((), best=2, int8=True)
    exact, int8, again = (teaching(wanted, runs, 10, 1, cpu, images).logits(x) for images in (None, shown, shown))
    assert not torch.equal(int8, exact) and torch.equal(int8, again)
    assert (int8 - exact).abs().mean() < 0.2 * exact.std(dim=1).mean()


def test_teachers_accuracy_is_that_of_what_the_student_hears(tmp_path: Path, cpu: Machine) -> None:
    runs = [trained(tmp_path / str(seed), seed, 0.5) for seed in range(2)]
    taught = teaching(Distillation((), best=2), runs, 10, 1, cpu)
    images = torch.from_numpy(random_images(300))
    answers = taught.logits(images.float() / 255).argmax(1)
    labels = torch.where(torch.rand(300) < 0.7, answers, 9 - answers)
    expected = accuracy_score(labels.numpy(), answers.numpy())
    assert 0.5 < expected < 0.9
    assert accuracy(taught, images, labels) == pytest.approx(expected)


def test_a_single_teacher_answers_by_its_log_probabilities(tmp_path: Path, cpu: Machine) -> None:
    run = trained(tmp_path / "one", 0, 0.5)
    x = torch.from_numpy(random_images(3)).float() / 255
    model = load_trained(run, 10)
    with torch.no_grad():
        expected = log_softmax(model(fit_input(x, 32, model)).numpy(), axis=-1)
    assert np.allclose(teaching(Distillation(()), [run], 10, 1, cpu).logits(x).numpy(), expected, atol=1e-4)
