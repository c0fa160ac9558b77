"""What a dry run says more seeds would decide."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tasks
from analysis.outlook import outlook
from analysis.results import results_of
from analysis.view import view_study
from study import records
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed, in which one recipe is far better than its control and another a little."""
    better = {"level3/se-head": 0.985, "level2/augmented": 0.90, "level1/finetuned": 0.90}
    return fabricate(tmp_path_factory.mktemp("study"), images=2000, accuracies=better)


def test_one_seed_decides_no_recipe_and_three_would_decide_a_clear_one(study: Path) -> None:
    first, three, five, ten, *_ = outlook(study)
    results = results_of(view_study(study))
    retrained = [judged for judged in results.judged.values() if judged.retrained]
    assert first.startswith(f"0 of {len(retrained)} comparisons of recipes are decided with 1 seed;")
    assert three.startswith("  3 seeds would likely decide") and "SE head" in three
    assert [line.split()[0] for line in (five, ten)] == ["5", "10"]


def test_every_comparison_of_recipes_is_named(study: Path) -> None:
    results, lines = results_of(view_study(study)), "\n".join(outlook(study))
    assert all(results.view.title(judged.key) in lines for judged in results.judged.values() if judged.retrained)


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
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("study.running.runner.run", lambda options: study)
    tasks.study.__wrapped__(None, dry_run=True)
    assert "comparisons of recipes are decided" in capsys.readouterr().out
    tasks.study.__wrapped__(None)
    assert capsys.readouterr().out == ""


def test_outlook_needs_no_torch(study: Path) -> None:
    import subprocess

    code = "import sys, study.kinds; from pathlib import Path; from analysis.outlook import outlook; "
    code += f"outlook(Path({str(study)!r})); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"
