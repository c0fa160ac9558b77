"""Classifying image files: any image, no torch, clear errors, only from a matching export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from study import records
from study.deployment.predict import Prediction, load_export, predict, read_image
from study.errors import StudyError, printable
from study.files import read_json
from tests.exported_models import channel_model, random_images
from tests.study.deployment.deployed_study import CLASSES, SOURCE, plan, write_deployed, write_run

RED = (250, 20, 30)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with an export, whose int8 model gives 8 times the mean red, green and blue as logits."""
    folder = tmp_path / "runs" / "tiny"
    write_deployed(folder)
    return folder


def saved(
    path: Path,
    colour: str | tuple[int, ...] = RED,
    mode: str = "RGB",
    size: tuple[int, int] = (40, 30),
) -> Path:
    Image.new("RGB", size, colour).convert(mode).save(path)
    return path


def test_confidence_is_the_softmax_of_the_logits_over_the_temperature(study: Path, tmp_path: Path) -> None:
    (prediction,) = predict(study, [saved(tmp_path / "a.png")])
    temperature = read_json(study / "level5/export/seed-0/export.json")["models"]["int8"]["temperature"]
    expected = softmax(8 * np.array(RED) / 255 / temperature)
    assert [name for name, _ in prediction.classes] == ["red", "blue", "green"]
    assert [confidence for _, confidence in prediction.classes] == pytest.approx(expected[[0, 2, 1]], rel=1e-3)


def test_predictions_follow_the_order_of_the_files_and_top_limits_the_classes(study: Path, tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{name}.png", name) for name in ("blue", "red", "lime")]
    predictions = predict(study, files, top=2)
    assert [p.classes[0][0] for p in predictions] == ["blue", "red", "green"]
    assert [p.image for p in predictions] == files
    assert all(len(p.classes) == 2 for p in predictions)
    assert len(predict(study, files, top=99)[0].classes) == len(CLASSES)


def test_grey_image_abstains_and_red_one_does_not(study: Path, tmp_path: Path) -> None:
    grey, red = predict(study, [saved(tmp_path / "grey.png", "grey"), saved(tmp_path / "red.png", "red")])
    assert grey.classes[0][1] == pytest.approx(1 / 3, abs=0.01)
    assert (grey.abstains, red.abstains) == (True, False)


def test_printed_line_has_confidence_verdict_and_no_control_characters() -> None:
    sure = Prediction(Path("a.png"), (("cat", 0.9), ("dog", 0.1)), threshold=0.5)
    assert str(sure) == "a.png: cat 90.0 %, dog 10.0 %"
    unsure = Prediction(Path("\x1b[2J.png"), (("c\nat", 0.4),), threshold=0.5)
    assert str(unsure) == "\\x1b[2J.png: c\\nat 40.0 % (abstains: confidence under 50.0 %)"
    assert printable("naïve 猫") == "naïve 猫"


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "RGB", {}),
        ("a.png", "RGBA", {}),
        ("a.png", "P", {}),
        ("a.gif", "P", {}),
        ("a.jpg", "RGB", {"quality": 95}),
        ("a.jpg", "CMYK", {"quality": 95}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.bmp", "RGB", {}),
        ("a.tiff", "CMYK", {}),
    ],
)
def test_every_format_and_mode_gives_the_same_pixels(
    name: str, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 30), "red").convert(mode).save(tmp_path / name, **options)
    pixels = read_image(tmp_path / name, 32)
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), (255, 0, 0), atol=4)


def test_grey_of_one_eight_and_sixteen_bits_becomes_three_equal_channels(tmp_path: Path) -> None:
    for mode, expected in (("1", 255), ("L", 255), ("LA", 255)):
        pixels = read_image(saved(tmp_path / f"{mode}.png", "white", mode), 32)
        assert (pixels == expected).all()
    Image.fromarray(np.full((40, 40), 0x80FF, dtype=np.uint16)).save(tmp_path / "sixteen.png")
    assert (read_image(tmp_path / "sixteen.png", 32) == 0x80).all()


def test_stored_image_passes_unchanged(tmp_path: Path) -> None:
    original = random_images(1)[0]
    Image.fromarray(original.transpose(1, 2, 0)).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", 32), original)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 32) == 255).all()


def test_central_square_of_an_upright_image_is_used(tmp_path: Path) -> None:
    # Stored 96 × 32: black ends, in the middle a square whose left half is red and right half blue.
    stored = np.zeros((32, 96, 3), dtype=np.uint8)
    stored[:, 32:48, 0] = stored[:, 48:64, 2] = 255
    image = Image.fromarray(stored)
    image.save(tmp_path / "plain.png")
    exif = image.getexif()
    exif[0x0112] = 6  # turn 90° clockwise to view: what is left goes to the top
    image.save(tmp_path / "turned.png", exif=exif)
    plain, turned = read_image(tmp_path / "plain.png", 32), read_image(tmp_path / "turned.png", 32)
    assert (plain[0, :, :16] == 255).all() and (plain[2, :, 16:] == 255).all()
    assert (turned[0, :16] == 255).all() and (turned[2, 16:] == 255).all()


def corrupted(path: Path, kind: str) -> Path:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    noise.save(path)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"not an image"}[kind])
    return path


@pytest.mark.parametrize("kind", ["truncated", "empty", "text"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "gif"])
def test_damaged_file_is_one_clear_line_naming_it(kind: str, suffix: str, tmp_path: Path) -> None:
    path = corrupted(tmp_path / f"broken.{suffix}", kind)
    with pytest.raises(StudyError, match="cannot be read as an image") as raised:
        read_image(path, 32)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_postscript_is_never_run(tmp_path: Path) -> None:
    saved(tmp_path / "a.eps")
    with pytest.raises(StudyError, match="cannot be read as an image"):
        read_image(tmp_path / "a.eps", 32)


def test_huge_image_missing_file_and_folder_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match="there is no image file .*absent.png"):
        read_image(tmp_path / "absent.png", 32)
    with pytest.raises(StudyError, match="there is no image file"):
        read_image(tmp_path, 32)
    for limit in (1000, 100):  # Pillow warns above the limit and raises above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(StudyError, match=f"has more than {limit} pixels"):
            read_image(saved(tmp_path / "huge.png"), 32)


def test_float_pixels_are_refused_rather_than_guessed(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(StudyError, match="a.tiff has 32-bit pixels of unknown range"):
        read_image(tmp_path / "a.tiff", 32)


def test_no_images_or_no_classes_is_reported(study: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="name at least one image"):
        predict(study, [])
    with pytest.raises(StudyError, match="at least one class"):
        predict(study, [saved(tmp_path / "a.png")], top=0)


NO_EXPORT = "has no exported model that is whole and up to date; run the study's level 5"


def test_study_without_an_export_says_what_to_do(tmp_path: Path) -> None:
    records.write_plan(tmp_path, plan())
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(tmp_path, [saved(tmp_path / "a.png")])


@pytest.mark.parametrize("file", ["model-int8.onnx", "model-fp32.onnx", "export.json", "README.md"])
def test_an_export_that_was_altered_is_refused(study: Path, tmp_path: Path, file: str) -> None:
    path = study / "level5/export/seed-0" / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(study, [saved(tmp_path / "a.png")])


def test_another_model_in_the_exports_place_is_refused(study: Path, tmp_path: Path) -> None:
    channel_model(study / "level5/export/seed-0/model-int8.onnx", scale=1.0)
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(study, [saved(tmp_path / "a.png")])


def test_an_export_that_was_interrupted_is_refused(study: Path, tmp_path: Path) -> None:
    (study / "level5/export/seed-0" / records.RESULT).unlink()
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(study, [saved(tmp_path / "a.png")])


def test_export_of_other_data_or_another_network_is_refused(study: Path, tmp_path: Path) -> None:
    records.write_plan(study, plan(fingerprint="0" * 64))
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(study, [saved(tmp_path / "a.png")])
    records.write_plan(study, plan())
    write_run(study, SOURCE, wrong=7)
    with pytest.raises(StudyError, match=NO_EXPORT):
        predict(study, [saved(tmp_path / "a.png")])


def test_of_several_seeds_the_best_export_on_validation_answers(tmp_path: Path) -> None:
    write_deployed(tmp_path, accuracies=(0.8, 0.9, 0.85))
    folder, manifest = load_export(tmp_path)
    assert folder == tmp_path / "level5/export/seed-1" and manifest.classes == CLASSES


def test_predicting_imports_no_torch(study: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import study.kinds; from study.deployment.predict import predict\n"
        "print(*predict(Path(sys.argv[1]), [Path(sys.argv[2])]))\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, study, saved(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'a.png'}: red ")
