from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke import Context, Program
from PIL import Image

import tasks
from study import records
from study.design.presets import Preset
from study.errors import RunsFailed
from study.running import adding, runner
from study.running.options import Options
from tests.evidence_samples import blank_drawing
from tests.fabricate import experiments, fabricate

ROOT = Path(__file__).parent.parent
Invoke = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What a command printed and left with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def invoke(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command as the `invoke` program does, in this process: importing torch anew takes seconds."""

    def run(*arguments: str) -> Done:
        code = 0
        try:
            Program(namespace=tasks.namespace).run(["invoke", *arguments], exit=False)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capfd.readouterr())

    return run


def test_added_predictions_are_handed_on_as_they_are_called(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fabricate(tmp_path, planned=experiments(1))
    told: dict[str, object] = {}

    def note(folder: Path, file: Path, title: str, control: str, seed: int | None, vote: str) -> list[str]:
        told.update(folder=folder, file=file, title=title, control=control, seed=seed, vote=vote)
        return ["taken"]

    monkeypatch.setattr(adding, "add", note)
    named = {"title": "Our ViT", "control": "level1/finetuned", "seed": "1", "vote": "level4/hard"}
    flags = [part for name, value in named.items() for part in (f"--{name}", value)]
    done = invoke("add", "mine.npz", *flags, "--study", study.name, "--runs", str(study.parent))
    assert done.returncode == 0 and done.stdout == "taken\n"
    assert told == named | {"seed": 1, "folder": study, "file": Path("mine.npz")}


def test_without_a_name_the_study_that_ran_last_is_meant(invoke: Invoke, tmp_path: Path) -> None:
    for number, name in enumerate(["later", "earlier"]):
        study = fabricate(tmp_path / name, planned=experiments(1)).rename(tmp_path / f"{name}-study")
        os.utime(study / records.STUDY, (1_000_000 - number, 1_000_000 - number))
    assert "later-study" in invoke("status", "--runs", str(tmp_path)).stdout


def test_what_this_program_ran_is_meant_before_what_ran_last(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another study may have begun since, or be in another folder."""
    ours = fabricate(tmp_path / "ours", planned=experiments(1))
    monkeypatch.setattr(tasks, "JUST_RUN", [ours])
    assert invoke("status").stdout.startswith(f"{ours}\n")
    fabricate(tmp_path / "runs/other", planned=experiments(1))
    assert "other" in invoke("status", "--runs", str(tmp_path / "runs")).stdout


def test_many_images_may_be_named(tmp_path: Path) -> None:
    names = [f"IMG_{number:04}.jpg" for number in range(60)]
    assert tasks._images(",".join(names)) == [Path(name) for name in names]
    (photo := tmp_path / "photo[1],2.png").touch()
    assert tasks._images(str(photo)) == [photo]
    for name in ("cat[1].png", "cat1.png", "dog.png"):
        (tmp_path / name).touch()
    both = f"{tmp_path}/cat[1].png,{tmp_path}/d*.png"
    assert [path.name for path in tasks._images(both)] == ["cat[1].png", "dog.png"], "the file, not what it matches"


def test_runs_that_failed_are_one_line_and_exit_code_1(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(options: Options) -> None:
        raise RunsFailed("failed: level1/finetuned/seed-0 (so be it)")

    monkeypatch.setattr(runner, "run", fail)
    done = invoke("study", "--runs", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "error: failed: level1/finetuned/seed-0 (so be it)\n")


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one study of level 1, whose report has blank figures and comes from Typst."""
    monkeypatch.setattr("report.pdf.has_latex", lambda: False)
    monkeypatch.setattr("report.figures.draw", blank_drawing)
    fabricate(tmp_path / "one", planned=experiments(1))
    return tmp_path


def test_report_is_stale_then_written_then_fresh_and_verified(invoke: Invoke, reported: Path) -> None:
    runs = ["--runs", str(reported)]
    done = invoke("report", "--check", *runs)
    assert (done.returncode, done.stdout) == (1, "stale: no report was written yet\n")
    assert "report.pdf" in invoke("report", *runs).stdout
    assert "nothing changed" in invoke("report", *runs).stdout
    assert invoke("report", "--check", *runs).stdout == "fresh\n"
    done = invoke("verify", *runs)
    assert (done.returncode, done.stdout) == (0, "every number in the report is what the records say\n")


def test_what_is_computed_but_not_in_the_paper_is_told_by_verify_alone(
    invoke: Invoke, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.lookup.Lookup.orphans", ["figure maps"])
    runs = ["--runs", str(reported)]
    assert "not in the paper" not in invoke("report", *runs).stderr
    done = invoke("verify", *runs)
    assert (done.returncode, done.stderr) == (0, "computed, but not in the paper: figure maps\n")


def test_verify_names_a_changed_number_and_exits_with_1(invoke: Invoke, reported: Path) -> None:
    runs = ["--runs", str(reported)]
    invoke("report", *runs)
    page = reported / "one" / "report" / "report.html"
    page.write_text(page.read_text().replace("93.91\N{NO-BREAK SPACE}%</data>", "93.92\N{NO-BREAK SPACE}%</data>"))
    done = invoke("verify", *runs)
    assert done.returncode == 1
    assert "report.html: reference-accuracy/level1: '93.92' is printed, '93.91' is right" in done.stdout


def test_diff_exits_with_0_where_results_are_the_same_and_with_1_where_not(invoke: Invoke, reported: Path) -> None:
    runs = ["--runs", str(reported)]
    fabricate(reported / "other", planned=experiments(1), accuracies={"level1/finetuned": 0.5})
    same, other = invoke("diff", "one", "one", *runs), invoke("diff", "one", "other", *runs)
    assert same.returncode == 0 and "every number and verdict is the same" in same.stdout
    assert other.returncode == 1 and "accuracy/level1/finetuned" in other.stdout
    assert "accuracy/level1/finetuned" in (reported / "diff.html").read_text()


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads, as after `| head`."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("command", [("--list",), ("--help", "study"), ("status",), ("report", "--check")])
def test_output_that_nobody_reads_ends_a_command_quietly_as_a_pipe_ends_others(
    command: tuple[str, ...], reported: Path, unread: int
) -> None:
    called = [sys.executable, "-m", "invoke", *command]
    called += [] if command[0].startswith("--") else ["--runs", str(reported)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(called, cwd=ROOT, env=buffered, stdout=unread, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


class Unread(io.StringIO):
    """Standard output that nobody reads."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_tool_whose_output_nobody_reads_is_one_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Unread())
    with pytest.raises(BrokenPipeError):
        tasks._run(Context(), [sys.executable, "-c", "print(1)"])


def test_listing_tasks_imports_nothing_heavy() -> None:
    code = "import sys, tasks; print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_status_lists_every_run(invoke: Invoke, tiny_study: Path) -> None:
    done = invoke("status", "--runs", str(tiny_study.parent))
    planned = records.read_plan(tiny_study).experiments
    assert done.returncode == 0 and done.stdout.count("complete") == len(planned)


IMPORTED = """
import sys
from invoke import Program
import tasks
from study.design.presets import *
from study.experiment import *
PRESETS["tiny"] = eval(sys.argv[1])
Program(namespace=tasks.namespace).run(["invoke", *sys.argv[2:]], exit=False)
print("imported:", *sorted({"torch", "timm", "torchvision", "onnxruntime", "optuna"} & set(sys.modules)))
"""


def test_a_study_with_nothing_to_do_and_status_import_nothing_heavy(tiny_study: Path, tiny: Preset) -> None:
    runs = ["--runs", str(tiny_study.parent)]
    study = ["study", "--preset", "tiny", "--dataset", "digits", "--device", "cpu", "--workers", "1"]
    for command, says in ((study, "runs complete, 0 to do"), (["status"], "complete")):
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED, repr(tiny), *command, *runs], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0 and says in done.stdout, done.stderr
        assert done.stdout.splitlines()[-1].strip() == "imported:"


def test_predict_prints_a_line_per_image(invoke: Invoke, tiny_study: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two.jpg"]
    for path in paths:
        Image.new("RGB", (40, 30), "white").save(path)
    runs = ["--runs", str(tiny_study.parent)]
    assert invoke("predict", str(paths[0]), *runs).stdout.count("%") >= 3
    both = invoke("predict", ",".join(map(str, paths)), *runs)
    assert invoke("predict", str(tmp_path / "*.*"), *runs).stdout == both.stdout
    assert [line.split(":")[0] for line in both.stdout.splitlines()] == [str(path) for path in paths]
