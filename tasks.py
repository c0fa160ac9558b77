"""The commands of the project; `invoke --list` names them, `invoke --help TASK` explains one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, task

if TYPE_CHECKING:
    from study.running.jobs import Options

RUNS = "runs"


def one_line_errors(body: Callable[..., None]) -> Callable[..., None]:
    """Turn what the user can put right into one line and exit code 2, and Ctrl-C into exit code 130.

    The operating system's refusals (a full disk, a folder without permission) are the user's to put right too.
    """

    @functools.wraps(body)
    def guarded(*arguments: object, **flags: object) -> None:
        from study.errors import StudyError

        try:
            body(*arguments, **flags)
        except (StudyError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here", file=sys.stderr)
            raise SystemExit(130) from None

    return guarded


def _numbers(text: str, what: str) -> tuple[int, ...]:
    from study.errors import StudyError

    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise StudyError(f"--{what} takes numbers separated by commas, e.g. --{what} 1,2; not {text!r}") from None
    if any(number < 0 for number in numbers):
        raise StudyError(f"--{what} takes numbers from 0 upwards, not {text!r}")
    return tuple(dict.fromkeys(numbers))


def _number(text: str, what: str) -> int:
    from study.errors import StudyError

    numbers = _numbers(text, what)
    if len(numbers) > 1:
        raise StudyError(f"--{what} takes one number, not {text!r}")
    return numbers[0]


def _options(flags: dict[str, Any]) -> Options:
    """Flags as given on the command line to the runner's options; empty ones keep their defaults."""
    from study.running.jobs import Options

    given = {name: value for name, value in flags.items() if value not in (None, "")}
    for name in ("levels", "seeds"):
        if name in given:
            given[name] = _numbers(given[name], name)
    if "workers" in given:
        given["workers"] = _number(given["workers"], "workers")
    if "only" in given:
        given["only"] = tuple(given["only"].split(","))
    if "runs" in given:
        given["runs"] = Path(given["runs"])
    return Options(**given)


def _images(text: str) -> list[Path]:
    """The files that names separated by commas, or patterns such as ``photos/*.png``, stand for."""
    names = [text] if Path(text).exists() else text.split(",")
    return [Path(found) for name in names for found in (sorted(glob(name)) or [name])]


STUDY_HELP = {
    "preset": "quick, cpu or paper; default quick, with CUDA paper",
    "levels": "which levels to run, e.g. 1,2; default all five",
    "only": "which of their experiments, and what those need, e.g. 'level1/*,level3/scratch-cnn'",
    "seeds": "training seeds, e.g. 0,1,2; default the preset's",
    "data": "folder that holds or will hold CIFAR-10 (torchvision layout); default $STUDY_DATA, else ./data",
    "dataset": "auto, cifar10 or digits; auto falls back to digits, with a notice, when CIFAR-10 cannot be had",
    "device": "auto, cpu, cuda, ...",
    "study": "name of the study's folder; default <preset>-<dataset>",
    "runs": "folder that holds all studies",
    "dry_run": "print the plan with an estimated time per run, and run nothing",
    "compile": "compile networks with torch.compile",
    "deterministic": "choose reproducible kernels on CUDA",
    "workers": "how many runs to do at a time, sharing the processors; default 2 on a CPU, 1 otherwise",
}


@task(help=STUDY_HELP)
@one_line_errors
def study(
    _: Context,
    preset: str = "auto",
    levels: str = "",
    only: str = "",
    seeds: str = "",
    data: str = "",
    dataset: str = "auto",
    device: str = "auto",
    study: str = "",
    runs: str = RUNS,
    dry_run: bool = False,
    compile: bool = False,
    deterministic: bool = False,
    workers: str = "",
) -> None:
    """Run the five levels and record every run; go on where an earlier call stopped."""
    flags = {
        "preset": preset,
        "levels": levels,
        "only": only,
        "seeds": seeds,
        "folder": data,
        "dataset": dataset,
        "device": device,
        "study": study,
        "runs": runs,
        "compile": compile,
        "deterministic": deterministic,
        "workers": workers,
    }
    from study.running import runner

    options = _options(flags)
    if dry_run:
        _print_plan(runner.dry_run(options))
    else:
        runner.run(options)


def _print_plan(rows: list[tuple[str, str, float]]) -> None:
    from tabulate import tabulate

    from study.running.progress import duration

    print(tabulate([(name, state, duration(s)) for name, state, s in rows], headers=("run", "state", "estimate")))
    print(f"{len(rows)} runs, about {duration(sum(seconds for *_, seconds in rows))} to go on this machine")


def _study_folder(study: str, runs: str) -> Path:
    """The named study, or the one that ran last. StudyError when there is none."""
    from study.errors import StudyError

    if study:
        return Path(runs) / study
    plans = sorted(Path(runs).glob("*/study.json"), key=lambda path: path.stat().st_mtime)
    if not plans:
        raise StudyError(f"no study in {runs}; run `invoke study` first")
    return plans[-1].parent


@task(help={"study": "name of the study; default the one that ran last", "runs": STUDY_HELP["runs"]})
@one_line_errors
def report(_: Context, study: str = "", runs: str = RUNS) -> None:
    """Write the paper of a study: report.pdf, report.html and the LaTeX bundle."""
    from report.build import build

    folder = _study_folder(study, runs)
    print(f"writing the paper of {folder}", flush=True)
    for path in build(folder):
        print(path)


@task(help={"study": "name of the study; default the one that ran last", "runs": STUDY_HELP["runs"]})
@one_line_errors
def status(_: Context, study: str = "", runs: str = RUNS) -> None:
    """Show which runs of a study are complete, with their accuracies and times."""
    from tabulate import tabulate

    from study.records import summary

    folder = _study_folder(study, runs)
    print(folder)
    print(
        tabulate(
            summary(folder).to_dict("list"), headers="keys", floatfmt=("", "", ".2f", ".2f", ".0f"), showindex=False
        )
    )


@task(
    help={
        "image": "image file in any format Pillow reads; several separated by commas, or a quoted pattern",
        "study": "name of the study; default the one that ran last",
        "runs": STUDY_HELP["runs"],
        "top": "how many classes to print; default 3",
    },
)
@one_line_errors
def predict(_: Context, image: str, study: str = "", runs: str = RUNS, top: str = "3") -> None:
    """Classify image files with a study's exported model, and say where it would abstain."""
    from study.deployment.predict import predict as classify

    for prediction in classify(_study_folder(study, runs), _images(image), _number(top, "top")):
        print(prediction)


@task(help={"all": "run the slow tests too, as CI does", "keyword": "only tests whose name matches (pytest -k)"})
def test(context: Context, all: bool = False, keyword: str = "") -> None:
    """Run the tests; the quick suite unless --all."""
    chosen = [] if all else ["-m", "not slow"]
    workers = ["-n", "2", "--dist", "loadgroup"]
    # Work this small gains nothing from threads, and two workers' threads would get in each other's way.
    environment = {"OMP_NUM_THREADS": "1"}
    _run(
        context, [sys.executable, "-m", "pytest", *workers, *chosen, *(["-k", keyword] if keyword else [])], environment
    )


@task
def bench(context: Context) -> None:
    """Measure the trainer against a bare loop on the same batch; ratios as a table and as JSON lines."""
    _run(context, [sys.executable, "-m", "study.running.bench"])


@task
def lint(context: Context) -> None:
    """Check style with ruff and types with mypy."""
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        _run(context, [sys.executable, "-m", *command])


def _run(context: Context, command: list[str], environment: dict[str, str] | None = None) -> None:
    import shlex

    if not context.run(shlex.join(command), env=environment or {}, warn=True, pty=False).ok:
        raise SystemExit(1)


namespace = Collection(study, report, status, predict, test, bench, lint)
