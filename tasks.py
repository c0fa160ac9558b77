"""The commands of the project; `invoke --list` names them, `invoke --help TASK` explains one."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from invoke import Collection, Context, Exit, Program, ThreadException, task

from study.errors import StudyError, printable
from study.running.options import Options

RUNS = "runs"
LINES = 40  # of a list or table shown in the terminal
LARGEST = 2**31


def one_line_errors(body: Callable[..., None]) -> Callable[..., None]:
    """Turn what the user can put right into one line and its exit code, Ctrl-C into exit code 130, SIGTERM into 143.

    The operating system's refusals (a full disk, a folder without permission) are the user's to put right too.
    """

    @functools.wraps(body)
    def guarded(*arguments: object, **flags: object) -> None:
        signal.signal(signal.SIGTERM, _terminated)
        try:
            body(*arguments, **flags)
        except BrokenPipeError:
            raise
        except (StudyError, OSError) as error:
            print(f"error: {printable(str(error))}", file=sys.stderr)
            raise SystemExit(getattr(error, "exit_code", 2)) from None
        except KeyboardInterrupt as interrupt:
            goes_on = "; the same command goes on from here" if body.__name__ == "study" else ""
            print(f"interrupted{goes_on}", file=sys.stderr)
            raise SystemExit(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)) from None

    return guarded


def _terminated(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def refusing(step: Callable[[Program], None]) -> Callable[[Program], None]:
    """A step of reading the command line that leaves with one line and exit code 2 at what it cannot make sense of.

    `invoke` itself leaves with code 1, for some flags with a traceback.
    """

    @functools.wraps(step)
    def guarded(program: Program) -> None:
        try:
            step(program)
        except Exception as error:  # each of invoke's parsers has its own
            if not (said := error.message if isinstance(error, Exit) else str(error)):
                raise
            raise Exit(f"error: {printable(said)} See `invoke --list` and `invoke --help TASK`.", 2) from None

    return guarded


def ending_unread(step: Callable[[Program], None]) -> Callable[[Program], None]:
    """A step that ends the program as SIGPIPE ends others when nobody reads its output any more, as after `| head`.

    As in https://docs.python.org/3/library/signal.html#note-on-sigpipe.
    """

    @functools.wraps(step)
    def guarded(program: Program) -> None:
        try:
            try:
                step(program)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes to as it ends
            raise SystemExit(128 + signal.SIGPIPE) from None

    return guarded


# The program under way has looked for this file and will look these up next.
for _step in ("parse_tasks", "parse_cleanup", "update_config"):
    setattr(Program, _step, refusing(ending_unread(getattr(Program, _step))))
Program.execute = ending_unread(Program.execute)  # type: ignore[assignment, method-assign]


def _numbers(text: str, what: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise StudyError(f"--{what} takes numbers separated by commas, e.g. --{what} 1,2; not {text!r}") from None
    if any(not 0 <= number < LARGEST for number in numbers):
        raise StudyError(f"--{what} takes numbers from 0 upwards, below {LARGEST}, not {text!r}")
    return tuple(dict.fromkeys(numbers))


def _number(text: str, what: str) -> int:
    numbers = _numbers(text, what)
    if len(numbers) > 1:
        raise StudyError(f"--{what} takes one number, not {text!r}")
    return numbers[0]


def _options(flags: dict[str, Any]) -> Options:
    """Flags as given on the command line to the options of a study; empty ones keep their defaults."""
    given = {name: value for name, value in flags.items() if value != ""}
    read: dict[str, Callable[[str], object]] = {
        "levels": partial(_numbers, what="levels"),
        "seeds": partial(_numbers, what="seeds"),
        "workers": partial(_number, what="workers"),
        "only": lambda text: tuple(text.split(",")),
        "runs": Path,
    }
    parsed: dict[str, Any] = {name: read[name](value) if name in read else value for name, value in given.items()}
    return Options(**parsed)


def _flags() -> tuple[dict[str, str], inspect.Signature]:
    """Help and parameters of `invoke study`, as its options declare them: switches, and texts that default to none."""
    fields = dataclasses.fields(Options)
    defaults = {each.name: False if each.default is False else "" for each in fields}
    by_name = inspect.Parameter.KEYWORD_ONLY
    keywords = [inspect.Parameter(name, by_name, default=default) for name, default in defaults.items()]
    context = inspect.Parameter("_", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {each.name: each.metadata["help"] for each in fields}, inspect.Signature([context, *keywords])


def _images(text: str) -> list[Path]:
    """The files that names separated by commas, or patterns such as ``photos/*.png``, stand for."""
    names = [text] if os.path.exists(text) else text.split(",")  # of pathlib's, a path as long as several names fails
    found = ([name] if os.path.exists(name) else sorted(glob(name)) or [name] for name in names)
    return [Path(name) for several in found for name in several]


STUDY_HELP, STUDY_SIGNATURE = _flags()
JUST_RUN: list[Path] = []  # by this program: `invoke study report` is about one study


@one_line_errors
def study(_: Context, **flags: Any) -> None:  # noqa: ANN401 - the fields of Options
    """Run the five levels and record every run; go on where an earlier call stopped."""
    from study.running import runner

    options = _options(flags)
    folder = runner.run(options)
    JUST_RUN.append(folder)
    if options.dry_run:
        from analysis.outlook import outlook

        print("\n".join(outlook(folder)))


study.__signature__ = STUDY_SIGNATURE  # type: ignore[attr-defined]


def _study_folder(study: str, runs: str) -> Path:
    """The named study, or the one that this program or, last, any other ran. StudyError when there is none."""
    from study import kinds  # noqa: F401 - whose files make known what records are read back as
    from study.files import inside

    if study:
        return inside(Path(runs), study)
    if JUST_RUN and runs == RUNS:
        return JUST_RUN[-1]
    plans = sorted(Path(runs).glob("*/study.json"), key=lambda path: path.stat().st_mtime)
    if not plans:
        raise StudyError(f"no study in {runs}; run `invoke study` first")
    return plans[-1].parent


WHICH = {"study": "name of the study; default the one that ran last", "runs": STUDY_HELP["runs"]}
SETTINGS = {"settings": "file with title, authors and the like; default paper.toml in the study's folder"}


@task(help=WHICH | SETTINGS | {"check": "only say whether the report is fresh; exit code 1 when it is stale"})
@one_line_errors
def report(_: Context, study: str = "", runs: str = RUNS, settings: str = "", check: bool = False) -> None:
    """Write the paper of a study, if anything changed: report.pdf, report.html and the LaTeX bundle."""
    from report.build import build, stale

    folder, own = _study_folder(study, runs), Path(settings) if settings else None
    if check:
        if changed := stale(folder, settings=own):
            print(f"stale: {', '.join(changed)}")
            raise SystemExit(1)
        print("fresh")
        return
    print(f"the paper of {folder}", flush=True)
    print("\n".join(map(str, build(folder, settings=own))) or "nothing changed; the report is fresh")


@task(help=WHICH | SETTINGS)
@one_line_errors
def verify(_: Context, study: str = "", runs: str = RUNS, settings: str = "") -> None:
    """Check every number of a study's report, PDF, HTML and LaTeX, against its records; exit code 1 on a difference."""
    from analysis import formats
    from report.verify import verify as compare

    found = compare(_study_folder(study, runs), settings=Path(settings) if settings else None)
    for difference in found[:LINES]:
        print(difference)
    if found:
        shown = f", of which these are {LINES}" if len(found) > LINES else ""
        print(formats.plural(len(found), "difference") + shown)
        raise SystemExit(1)
    print("every number in the report is what the records say")


@task(
    help={
        "first": "a study's name, or the folder of a study or of a report kept from before",
        "second": "what to compare it with",
        "runs": STUDY_HELP["runs"],
        "page": "HTML file to write the tables to; default diff.html in the folder of the studies",
    },
)
@one_line_errors
def diff(_: Context, first: str, second: str, runs: str = RUNS, page: str = "") -> None:
    """Say which numbers and verdicts differ between two studies, and what they were made of; exit code 1 if any do."""
    from tabulate import tabulate

    from report import diff as differ
    from study import kinds  # noqa: F401 - as in _study_folder
    from study.files import write_bytes

    found = differ.diff(*(differ.find(name, Path(runs)) for name in (first, second)))
    for title, (head, rows) in found.tables().items():
        print(f"{title}\n{tabulate(rows[:LINES], headers=head, disable_numparse=True, maxcolwidths=48)}")
        print(f"... and {len(rows) - LINES} more\n" if len(rows) > LINES else "")
    path = Path(page) if page else Path(runs) / "diff.html"
    write_bytes(path, found.page(first, second))
    print(path)
    print("every number and verdict is the same" if found.same_results else "numbers or verdicts differ")
    if not found.same_results:
        raise SystemExit(1)


@task(help=WHICH)
@one_line_errors
def status(_: Context, study: str = "", runs: str = RUNS) -> None:
    """Show which runs of a study are complete, with their accuracies and times."""
    from tabulate import tabulate

    from study.records import current_runs, read_plan
    from study.status import problems, summary, under_way

    folder = _study_folder(study, runs)
    print(folder)
    plan = read_plan(folder)
    active = under_way(folder)
    current = current_runs(folder, plan)
    print(tabulate(summary(folder, plan, current, active), headers="keys", floatfmt=("", "", ".2f", ".2f", ".0f")))
    for line in problems(folder, plan, current):
        print(line)


@task(
    help=WHICH
    | {
        "file": "npz or CSV of labels and logits, probabilities or hard labels (README.md says how they are named)",
        "title": "what tables call them; default the file's name",
        "control": "key of the experiment they are compared with, e.g. level2/augmented",
        "seed": "which of the study's seeds they are paired with; default its first",
        "vote": "key of a vote of the study that they join as one more member, e.g. level4/soft-probabilities",
    },
)
@one_line_errors
def add(
    _: Context,
    file: str,
    study: str = "",
    runs: str = RUNS,
    title: str = "",
    control: str = "",
    seed: str = "",
    vote: str = "",
) -> None:
    """Let predictions made elsewhere, on the study's own test images, join a study."""
    from study.running.adding import add as join

    number = _number(seed, "seed") if seed else None
    for line in join(_study_folder(study, runs), Path(file), title, control, number, vote):
        print(line)


@task(
    help=WHICH
    | {
        "image": "image file in any format Pillow reads but EPS; several separated by commas, or a quoted pattern",
        "top": "how many classes to print; default 3",
    },
)
@one_line_errors
def predict(_: Context, image: str, study: str = "", runs: str = RUNS, top: str = "3") -> None:
    """Classify image files with a study's exported model, and say where it would abstain."""
    from study.deployment.predict import predict as classify

    for prediction in classify(_study_folder(study, runs), _images(image), _number(top, "top")):
        print(prediction)


def _require_expression(keyword: str) -> None:
    """StudyError for what pytest's -k would not understand: names, joined by and, or, not and brackets.

    Run by several workers, pytest itself ends in an internal error instead of saying so.
    """
    plain = re.sub(r"[^\s()]+", lambda name: name[0] if name[0] in ("and", "or", "not") else "x", keyword)
    try:
        if keyword and ("x (" in plain or "()" in plain or not re.fullmatch(r"[\w:+.\[\]\\/()\s-]+", keyword)):
            raise SyntaxError
        compile(plain or "x", "--keyword", "eval")
    except SyntaxError:
        raise StudyError(f"--keyword takes names joined by and, or, not and brackets, not {keyword!r}") from None


@task(help={"all": "run the slow tests too, as CI does", "keyword": "only tests whose name matches (pytest -k)"})
@one_line_errors
def test(context: Context, all: bool = False, keyword: str = "") -> None:
    """Run the tests; the quick suite unless --all."""
    _require_expression(keyword)
    chosen = [] if all else ["-m", "not slow"]
    workers = ["-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]
    # Work this small gains nothing from threads, and two workers' threads would get in each other's way.
    environment = {"OMP_NUM_THREADS": "1"}
    _run(
        context,
        [sys.executable, "-m", "pytest", *workers, *chosen, *([f"-k{keyword}"] if keyword else [])],
        environment,
    )


@task(
    help={
        "race": "train CompactCNN and airbench94 instead, and print time and accuracy of both",
        "epochs": "how many epochs CompactCNN races; default those of cpu",
        "images": "how many training images, and at most as many for validation, the race has; default all",
        "seeds": "training seeds of the race, e.g. 0,1,2; default 0",
    }
)
@one_line_errors
def bench(_: Context, race: bool = False, epochs: str = "", images: str = "", seeds: str = "") -> None:
    """Measure the trainer against a bare loop, and ONNX Runtime and decoding; ratios as a table and as JSON lines."""
    from study.running import bench as trainer
    from study.running import race as racing

    if race:
        sizes = {name: _number(value, name) for name, value in (("epochs", epochs), ("images", images)) if value}
        racing.main(**sizes, seeds=_numbers(seeds or "0", "seeds"))
    elif epochs or images or seeds:
        raise StudyError("--epochs, --images and --seeds are those of a race; add --race")
    else:
        trainer.main()


@task
def lint(context: Context) -> None:
    """Check style with ruff, types with mypy, and security with bandit."""
    bandit = ["bandit", "-q", "-c", "pyproject.toml", "-r", "study", "analysis", "report", "templates", "tasks.py"]
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], bandit):
        _run(context, [sys.executable, "-m", *command])


def _run(context: Context, command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command and leave with its failure."""
    try:
        done = context.run(shlex.join(command), env=environment or {}, warn=True, pty=False)
    except ThreadException as error:  # one of the threads that pass on what the command prints
        raise error.exceptions[0].value from None
    if not done.ok:
        raise SystemExit(1)


TASKS = (report, verify, diff, status, add, predict, test, bench, lint)
namespace = Collection(task(study, help=dict(STUDY_HELP)), *TASKS)
