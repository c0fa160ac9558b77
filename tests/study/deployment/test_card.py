"""The export folder: models, manifest and model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study.deployment import card
from study.deployment.card import escape, write_export
from study.deployment.predict import Manifest
from study.experiment import structured
from study.files import read_json, sha256
from study.kinds import Training
from tests.study.deployment.deployed_study import INT8, SOURCE, plan, write_run


def export(
    study: Path, wrong: tuple[int, int] = (4, 4), source: Training = SOURCE, teacher: str = "", **changes: object
) -> tuple[Manifest, str]:
    """Manifest and card of models, float32 and int8, that make so many errors in 20 images."""
    folder = study / "export"
    write_export(folder, write_run(study, source, wrong[0]), write_run(study, INT8, wrong[1]), plan(**changes), teacher)
    manifest = structured(read_json(folder / "export.json"), Manifest)
    return manifest, (folder / "README.md").read_text(encoding="utf-8")


def test_manifest_describes_the_copied_models(tmp_path: Path) -> None:
    manifest, _ = export(tmp_path)
    source = tmp_path / "level5/int8-static/seed-0"
    for precision, file in (("float32", "model-fp32.onnx"), ("int8", "model-int8.onnx")):
        described = manifest.models[precision]
        assert described.file == file
        assert described.sha256 == sha256(tmp_path / "export" / file) == sha256(source / file)
        assert described.bytes == (source / file).stat().st_size
    assert [manifest.models[p].run for p in ("float32", "int8")] == [
        "level5/student/seed-0",
        "level5/int8-static/seed-0",
    ]
    assert (manifest.study, manifest.dataset["fingerprint"]) == ("tiny", "f" * 64)


def test_temperature_and_threshold_come_from_validation(tmp_path: Path) -> None:
    manifest, _ = export(tmp_path, wrong=(4, 5))
    # Margin 3 over two others, accuracy a: a = 1 / (1 + 2 exp(-3 / T)), so T = 3 / ln(2 a / (1 - a)).
    for precision, accuracy in (("float32", 0.8), ("int8", 0.75)):
        model = manifest.models[precision]
        assert model.temperature == pytest.approx(3 / np.log(2 * accuracy / (1 - accuracy)), rel=1e-4)
        assert model.abstention.threshold == pytest.approx(accuracy, rel=1e-4)
        assert model.abstention.risk == pytest.approx(1 - accuracy)


@pytest.mark.parametrize(("wrong", "deployed"), [((4, 4), "int8"), ((4, 2), "int8"), ((4, 5), "float32")])
def test_int8_is_recommended_unless_it_costs_more_than_a_point(
    wrong: tuple[int, int], deployed: str, tmp_path: Path
) -> None:
    assert export(tmp_path, wrong)[0].deployed == deployed


def test_a_loss_of_just_what_is_tolerated_is_tolerated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "TOLERATED_LOSS", 0.05)
    assert 0.8 - 0.75 > 0.05, "in floating point"
    assert export(tmp_path, wrong=(4, 5))[0].deployed == "int8"


@pytest.mark.parametrize(("pretrained", "described"), [(True, "ImageNet weights"), (False, "random weights")])
def test_card_says_what_the_network_started_from(tmp_path: Path, pretrained: bool, described: str) -> None:
    begun = replace(SOURCE, architecture=replace(SOURCE.architecture, pretrained=pretrained))
    assert f"| Starts from | {described} |" in export(tmp_path, source=begun)[1]


def test_card_names_the_teacher_and_says_whether_mirror_images_are_averaged_in(tmp_path: Path) -> None:
    mirrored = replace(SOURCE, recipe=replace(SOURCE.recipe, test_views=2))
    _, plain = export(tmp_path / "plain")
    _, other = export(tmp_path / "other", source=mirrored, teacher="level3/se-head")
    assert "| Teacher | none |" in plain and "| Teacher | level3/se-head |" in other
    averages = "averages the logits of an image and its mirror image"
    assert averages in other and averages not in plain


def test_card_reports_accuracy_interval_and_classes(tmp_path: Path) -> None:
    _, card = export(tmp_path)
    # Wilson interval of 16 in 20: 58.40 to 91.93 % (Newcombe 1998, method 3).
    assert "| float32 | 80.00 % | 58.40 to 91.93 % |" in card
    # Errors are images 0 to 3 (classes 0 1 2 0, taken for 1 2 0 1); the classes have 7, 7 and 6 images.
    # Recall 5/7, 6/7, 5/6; precision 5/6, 6/8, 5/6.
    assert "| red | 0.833 | 0.714 | 0.769 | 7 |" in card
    assert "| green | 0.750 | 0.857 | 0.800 | 7 |" in card
    assert "| blue | 0.833 | 0.833 | 0.833 | 6 |" in card
    assert "# Distilled student, trained on Colours" in card
    assert "| Parameters | 1,234,567 |" in card
    assert "mobilenetv3&#95;small&#95;100" in card
    assert "Classes, in the order of the logits: red, green, blue." in card


def test_card_announces_stand_in_data_first(tmp_path: Path) -> None:
    _, card = export(tmp_path, notice="Stand-in data, not CIFAR-10.")
    assert card.splitlines()[2] == "> **Stand-in data, not CIFAR-10.**"


def test_hostile_class_names_cannot_break_the_card(tmp_path: Path) -> None:
    _, card = export(tmp_path, classes=("a|b\n# c", "<script>alert(1)</script>", "{{ 7 * 7 }} `x` [y](z)"))
    assert "<script>" not in card
    assert "\n# c" not in card
    assert "{{" not in card and "49" not in card.split("Classes, in the order")[1].splitlines()[0]
    rows = [line for line in card.splitlines() if line.startswith("| a&#124;b")]
    assert len(rows) == 1 and rows[0].count("|") == 6


def test_escape_leaves_plain_text_alone() -> None:
    assert escape("airplane 12.5 %, level5/student") == "airplane 12.5 %, level5/student"
    assert escape("a_b*c\n d") == "a&#95;b&#42;c d"
