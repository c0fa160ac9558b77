"""Whatever happens to a file of a record is found and named, and only that run is done again.

``python -m tests.faults.test_damage`` prints what is said of every file and every damage as a table.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from study import records
from study.errors import StudyError
from study.files import owner, read_json, write_json, write_sealed
from tests.faults import small

STUDY = small.OPTIONS.study
HARMED = small.NAMES[0]  # on which the second and, through it, the last one build
OTHER = small.NAMES[2]
Damage = Callable[[Path], object]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    """By the file of that name of another run."""
    shutil.copy(path.parents[3] / OTHER / path.name, path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (truncated, flipped, emptied, removed, replaced, made_a_folder)
CASES = [(file, damage) for file in small.FILES for damage in DAMAGES]
# The quick half of them has every file and every damage.
SLOW = {case for number, case in enumerate(CASES) if (number + number // len(DAMAGES)) % 2}
GRID = [pytest.param(*case, marks=pytest.mark.slow if case in SLOW else ()) for case in CASES]


def repaired(runs: Path, file: str, damage: Damage, run: str = HARMED) -> tuple[list[str], list[str]]:
    """Damage a file of a run; the lines that the next study says of damage, and what it carries out."""
    damage(runs / STUDY / run / file)
    lines, carried_out = small.run(runs)
    return [line for line in lines if f"{runs / STUDY / run / file}" in line], carried_out


@pytest.mark.parametrize(("file", "damage"), GRID, ids=lambda part: getattr(part, "__name__", part))
def test_a_damaged_file_is_found_and_named_and_only_its_run_redone(runs: Path, file: str, damage: Damage) -> None:
    study = runs / STUDY
    before, found = small.results(study), small.metrics(study)
    told, carried_out = repaired(runs, file, damage)
    if (file, damage) == (records.RESULT, removed):
        assert told == [], "a run without result.json is one that was interrupted"
    else:
        assert len(told) == 1, told
        (aside,) = (study / records.SUPERSEDED / HARMED).parent.iterdir()
        assert (aside / file).exists() == (damage is not removed), "nothing is lost"
    assert carried_out == [HARMED]
    assert small.results(study) == before and small.metrics(study) == found
    assert small.run(runs)[1] == []


def test_the_damage_of_a_run_that_is_needed_is_named_before_anything_is_done(runs: Path) -> None:
    flipped(runs / STUDY / HARMED / records.MODEL)
    flipped(runs / STUDY / OTHER / records.MODEL)
    lines, carried_out = small.run(runs)
    assert sum("model.safetensors is missing or was altered" in line for line in lines) == 2
    assert carried_out == [HARMED, OTHER]


def test_a_whole_folder_of_another_run_is_no_record_of_this_one(runs: Path) -> None:
    study = runs / STUDY
    before = small.results(study)
    shutil.rmtree(study / HARMED)
    shutil.copytree(study / OTHER, study / HARMED)
    assert small.run(runs)[1] == [HARMED]
    assert small.results(study) == before


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, made_a_folder, removed])
def test_a_damaged_plan_is_named_and_written_anew_with_the_seeds_of_before(runs: Path, damage: Damage) -> None:
    small.run(runs, seeds=(0, 2))
    before = read_json(runs / STUDY / records.STUDY)
    damage(runs / STUDY / records.STUDY)
    if damage is made_a_folder:
        with pytest.raises(StudyError, match="study.json: Is a directory"):
            small.run(runs)
        (runs / STUDY / records.STUDY).rmdir()
    lines, carried_out = small.run(runs)
    assert carried_out == [] and read_json(runs / STUDY / records.STUDY) == before
    named = any("study.json is damaged" in line and "written anew" in line for line in lines)
    assert named == (damage in (truncated, flipped, emptied))


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, replaced])
def test_a_damaged_checkpoint_is_named_and_its_run_begun_anew(runs: Path, damage: Damage) -> None:
    study = runs / STUDY
    before = small.results(study)
    for name in (HARMED, OTHER):
        (study / name / records.RESULT).unlink()
        write_sealed(study / name / records.CHECKPOINT, name.encode() * 9, owner(study / name / records.SPEC))
    told, carried_out = repaired(runs, records.CHECKPOINT, damage)
    assert len(told) == 1 and f"{study / HARMED / records.CHECKPOINT} is damaged, or another run's" in told[0]
    assert carried_out == [HARMED, OTHER] and small.results(study) == before
    (aside,) = (study / records.SUPERSEDED).rglob(records.CHECKPOINT)
    assert HARMED.replace("/seed-0", "") in aside.as_posix(), "the sound checkpoint was gone on from"


def test_a_run_of_another_version_is_redone_without_ado(runs: Path) -> None:
    study = runs / STUDY
    before = small.results(study)
    spec = study / HARMED / records.SPEC
    write_json(spec, read_json(spec) | {"format": records.FORMAT - 1})
    lines, carried_out = small.run(runs)
    assert carried_out == [HARMED] and not any("damaged" in line for line in lines)
    assert small.results(study) == before


def test_a_study_of_another_version_is_redone_and_its_seeds_are_not_forgotten(runs: Path) -> None:
    study = runs / STUDY
    write_json(study / records.STUDY, read_json(study / records.STUDY) | {"format": records.FORMAT + 1})
    lines, carried_out = small.run(runs)
    assert any("was recorded by another version" in line for line in lines)
    assert carried_out == [], "the runs themselves are of this version"


def test_a_folder_copied_to_another_machine_is_complete_there(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, data = tmp_path / "elsewhere" / "runs", tmp_path / "other data"
    shutil.copytree(runs / STUDY, moved / STUDY)
    shutil.rmtree(runs)
    data.mkdir()
    before = small.results(moved / STUDY)
    lines, carried_out = small.run(moved, data=str(data))
    assert carried_out == [] and any("4 of 4 runs complete" in line for line in lines)
    assert small.results(moved / STUDY) == before


def main() -> None:
    """Print the table."""
    with small.designed(), tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        small.run(whole)
        for number, (file, damage) in enumerate(CASES):
            runs = shutil.copytree(whole, Path(name) / str(number))
            told, carried_out = repaired(runs, file, damage)
            said = told[0].replace(f"{runs / STUDY}/", "") if told else "(nothing: the run counts as interrupted)"
            print(f"| {file} | {damage.__name__} | {said} | {', '.join(carried_out)} |", flush=True)


if __name__ == "__main__":
    main()
