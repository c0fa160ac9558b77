"""The main job, end to end: a study runs, and the paper about it comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from report.build import build
from study import records
from study.deployment.predict import load_export, predict
from study.design.presets import Preset
from study.running import runner
from study.running.options import Options
from study.running.study import prepare

ROOT = Path(__file__).parent.parent
CIFAR10 = Path(os.environ.get("STUDY_DATA") or ROOT / "data")  # as it is outside the tests


@pytest.fixture(scope="module")
def paper(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the paper written about the session's study."""
    folder = tmp_path_factory.mktemp("paper")
    build(tiny_study, folder)
    return folder


def text_of(pdf: Path) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(pdf).pages)


def test_paper_comes_in_all_formats(paper: Path) -> None:
    assert {"report.pdf", "report.html", "latex", "provenance.json"} <= {path.name for path in paper.iterdir()}
    assert len(PdfReader(paper / "report.pdf").pages) >= 8


def test_nothing_is_pending_after_a_complete_study(paper: Path) -> None:
    assert "pending:" not in text_of(paper / "report.pdf")


def test_paper_prints_the_recorded_accuracies(paper: Path, tiny_study: Path) -> None:
    text = text_of(paper / "report.pdf")
    for key in ("level1/finetuned", "level2/augmented", "level3/se-head", "level4/soft-probabilities"):
        run = records.load_run(tiny_study / key / "seed-0")
        assert f"{100 * run.metrics['test_accuracy']:.2f}" in text, key


def test_stand_in_data_are_announced_on_the_first_page(paper: Path) -> None:
    first = " ".join(PdfReader(paper / "report.pdf").pages[0].extract_text().split())
    assert "Stand-in data" in first


def test_provenance_names_runs_that_exist(paper: Path, tiny_study: Path) -> None:
    text = (paper / "provenance.json").read_text(encoding="utf-8")
    named = {name for name in text.replace('"', " ").split() if name.startswith("level") and "/seed-" in name}
    complete = set(records.current_runs(tiny_study, records.read_plan(tiny_study)))
    assert named and {name.strip(",") for name in named} <= complete
    json.loads(text)


def test_exported_model_answers_like_the_recorded_one(tiny_study: Path, tmp_path: Path, tiny_options: Options) -> None:
    _, manifest = load_export(tiny_study)
    dataset = prepare(tiny_options).dataset
    paths = [tmp_path / f"{n}.png" for n in range(5)]
    for path, index in zip(paths, dataset.test[:5].tolist(), strict=True):
        Image.fromarray(dataset.images[index].permute(1, 2, 0).numpy()).save(path)
    answers = [prediction.classes[0][0] for prediction in predict(tiny_study, paths)]
    run = records.load_run(tiny_study / manifest.models[manifest.deployed].run)
    assert answers == [manifest.classes[n] for n in run.predictions("test").predicted[:5]]


@pytest.mark.slow
def test_report_of_a_study_in_the_middle_shows_what_is_pending(tmp_path: Path, tiny_options: Options) -> None:
    study = runner.run(replace(tiny_options, runs=tmp_path, levels=(1,)))
    build(study, tmp_path / "paper")
    text = text_of(tmp_path / "paper" / "report.pdf")
    head_only = records.load_run(study / "level1/head-only/seed-0").metrics["test_accuracy"]
    assert "pending" in text and f"{100 * head_only:.2f}" in text


@pytest.mark.slow
@pytest.mark.skipif(not (CIFAR10 / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 is not here: set STUDY_DATA")
def test_real_cifar10_from_study_to_paper(tiny: Preset, tmp_path: Path) -> None:
    """A subset of the real data, all five levels, and a pretrained backbone that beats chance by far."""
    options = Options(preset=tiny.name, dataset="cifar10", data=str(CIFAR10), device="cpu", runs=tmp_path, workers=1)
    study = runner.run(options)
    assert len(records.current_runs(study, records.read_plan(study))) == len(prepare(options).jobs)
    build(study)
    text = text_of(study / "report" / "report.pdf")
    assert "CIFAR-10" in text and "Stand-in data" not in text


@pytest.mark.slow
def test_study_and_report_in_one_command(tmp_path: Path) -> None:
    """The newcomer's command, first level only, in the real `quick` preset on the stand-in data."""
    runs = ["--runs", str(tmp_path)]
    flags = ["--dataset", "digits", "--preset", "quick", "--device", "cpu", "--levels", "1"]
    command = [sys.executable, "-m", "invoke", "study", *runs, *flags, "report", *runs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "NOTICE: Stand-in data" in done.stdout
    assert (tmp_path / "quick-digits" / "report" / "report.pdf").stat().st_size > 50_000
    frozen = records.load_run(tmp_path / "quick-digits" / "level1" / "head-only" / "seed-0")
    assert frozen.metrics["test_accuracy"] > 0.8
