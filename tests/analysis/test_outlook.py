"""What a dry run says more seeds would decide."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from analysis.outlook import outlook
from analysis.results import Results, results_of
from analysis.view import view_study
from study import records
from tests.fabricate import experiments, fabricate

BETTER = {"level3/se-head": 0.985, "level2/augmented": 0.90, "level1/finetuned": 0.90}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed, in which one recipe is far better than its control and another a little."""
    folder = tmp_path_factory.mktemp("study")
    return fabricate(folder, images=2000, accuracies=BETTER, planned=experiments(1, 2, 3))


@pytest.fixture(scope="module")
def results(study: Path) -> Results:
    return results_of(view_study(study))


@pytest.fixture(scope="module")
def lines(study: Path) -> list[str]:
    return outlook(study)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a single comparison."""
    return fabricate(tmp_path_factory.mktemp("small"), images=60, planned=experiments(1))


def test_one_seed_decides_no_recipe_and_three_would_decide_a_clear_one(results: Results, lines: list[str]) -> None:
    first, three, five, ten, *_ = lines
    retrained = [judged for judged in results.judged.values() if judged.retrained]
    assert first.startswith(f"0 of {len(retrained)} comparisons of recipes are decided with 1 seed;")
    assert three.startswith("  3 seeds would likely decide") and "SE head" in three
    assert [line.split()[0] for line in (five, ten)] == ["5", "10"]


def test_every_comparison_of_recipes_is_named(results: Results, lines: list[str]) -> None:
    named = [
        results.view.title(judged.key) in "\n".join(lines) for judged in results.judged.values() if judged.retrained
    ]
    assert len(named) > 10 and all(named)


def test_comparisons_with_fewer_seeds_than_others_are_named_too(tmp_path: Path) -> None:
    """Three seeds of the first level and one of the others, as an interrupted study leaves."""
    study = fabricate(tmp_path, seeds=range(3), images=2000, accuracies=BETTER, planned=experiments(1, 2, 3))
    for run in [run for level in ("level2", "level3") for run in (study / level).glob("*/seed-[12]")]:
        shutil.rmtree(run)
    first, three, *_ = outlook(study)
    assert first.endswith("with 3 seeds; if differences and variances are as they look now,")
    assert three.startswith("  3 seeds would likely decide") and "SE head" in three


def test_without_records_it_says_when_there_will_be_an_outlook(tmp_path: Path) -> None:
    assert "no records yet" in outlook(tmp_path)[0]
    assert "no comparison is recorded yet" in outlook(fabricate(tmp_path, seeds=()))[0]


def test_records_of_another_version_are_one_line(tmp_path: Path) -> None:
    folder = fabricate(tmp_path, seeds=())
    plan = folder / records.STUDY
    plan.write_text(plan.read_text(encoding="utf-8").replace('"format": ', '"format": 9'), encoding="utf-8")
    (line,) = outlook(folder)
    assert line.startswith("no outlook on verdicts: ")


def test_dry_run_prints_the_outlook(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("study.running.runner.run", lambda options: small)
    tasks.study.__wrapped__(None, dry_run=True)
    assert "comparisons of recipes are decided" in capsys.readouterr().out
    tasks.study.__wrapped__(None)
    assert capsys.readouterr().out == ""


def test_outlook_needs_no_torch(small: Path) -> None:
    code = "import sys, study.kinds; from pathlib import Path; from analysis.outlook import outlook; "
    code += f"outlook(Path({str(small)!r})); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"
