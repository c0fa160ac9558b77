"""Bad input of every task: exit code 2, one line that says what is wrong, no traceback, and nothing is changed."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from invoke import Program

import tasks
from study import records
from study.files import read_json, write_json
from study.records import Outcome
from study.running import runner
from tests import fabricate
from tests.study.deployment import deployed_study

Harm = Callable[[Path], object]  # of the folder that holds the studies

STUDY = "quick-cifar10"
OTHER = "quick-digits"
DEPLOYED = "colours"
ALL_RUNS = "{runs}"


@dataclass(frozen=True)
class Case:
    """A command, what its line must say, and what was done to the studies before."""

    command: tuple[str, ...]
    says: str
    harm: Harm | None = None

    def __str__(self) -> str:
        return " ".join(self.command)


def _called(name: str) -> tuple[str, ...]:
    """A task with its positional arguments."""
    return (name, *(given.name for given in tasks.namespace.tasks[name].get_arguments() if given.positional))


def _readers() -> list[str]:
    """The tasks that read a study."""
    bodies = {name: inspect.signature(task.body).parameters for name, task in tasks.namespace.tasks.items()}
    return [name for name, given in bodies.items() if {"study", "runs"} <= set(given) and name != "study"]


def _usage() -> Iterator[Case]:
    """What no task understands, for each task there is, and values of the wrong kind for each of their flags."""
    for name, task in tasks.namespace.tasks.items():
        called = _called(name)
        yield Case((*called, "--nonsense"), "No idea what '--nonsense' is")
        yield Case((*called, "-9"), "No idea what '-9' is")
        yield Case((*called, "extra"), "No idea what 'extra' is")
        yield Case((*called, "--command-timeout", "soon"), "invalid literal for int()")
        yield Case((*called, "--config", "/etc/hostname"), "are not supported")
        for flag in task.get_arguments():
            given = f"--{flag.name.replace('_', '-')}"
            if flag.kind is bool:
                yield Case((name, f"{given}=perhaps"), "No idea what 'perhaps' is")
            else:
                yield Case((name, given), "needed value and was not given one")
    yield Case(("nonsense",), "No idea what 'nonsense' is")
    yield Case(("--nonsense", "status"), "No idea what '--nonsense' is")
    yield Case(("--help", "nonsense"), "No idea what 'nonsense' is")
    yield Case(("--list", "nonsense"), "Sub-collection 'nonsense' not found")
    yield Case(("predict",), "did not receive required positional arguments: 'image'")
    for keyword in ("(", "one two", "not", "{}", "a or", "f()", "a=1"):
        yield Case(("test", "--keyword", keyword), "--keyword takes names joined by and, or, not and brackets")
    yield Case(("bench", "--race", "--seeds", "x"), "--seeds takes numbers separated by commas")
    yield Case(("bench", "--race", "--images", "1,2"), "--images takes one number")
    yield Case(("bench", "--race", "--epochs", "0"), "a race takes at least one epoch, not 0")
    yield Case(("bench", "--epochs", "3"), "are those of a race; add --race")


def _study() -> Iterator[Case]:
    """Flags of `invoke study`, one wrong at a time."""
    digits = ("--preset", "quick", "--dataset", "digits")
    numbers = "takes numbers separated by commas"
    for flags, says in (
        (("--preset", "huge"), "unknown preset 'huge'; choose one of quick, cpu, overnight, paper"),
        (("--preset", "Quick"), "unknown preset 'Quick'"),
        (("--preset", "quick", "--levels", "7"), "unknown level 7; levels are 1 to 5"),
        (("--preset", "quick", "--levels", "0"), "unknown level 0"),
        (("--preset", "quick", "--levels", "one"), numbers),
        (("--preset", "quick", "--levels", "1-3"), numbers),
        (("--preset", "quick", "--levels", ","), numbers),
        (("--preset", "quick", "--levels", "1,,2"), numbers),
        (("--seeds", "-1"), "--seeds takes numbers from 0 upwards"),
        (("--seeds", "0.5"), numbers),
        (("--seeds", "9" * 5000), numbers),
        (("--seeds", "1" * 300), "--seeds takes numbers from 0 upwards, below 2147483648"),
        (("--workers", "0"), "--workers takes a number from 1 upwards, not 0"),
        (("--workers", "two"), numbers),
        (("--workers", "1,2"), "--workers takes one number"),
        (("--workers", "-1"), "--workers takes numbers from 0 upwards"),
        (("--preset", "quick", "--only", "level9/*"), "no experiment is called 'level9/*'"),
        (("--preset", "quick", "--only", "level1/*,"), "no experiment is called ''"),
        (("--preset", "quick", "--levels", "1", "--only", "level2/*"), "no experiment is called 'level2/*'"),
        (("--preset", "quick", "--only", "["), "no experiment is called '['"),
        (("--preset", "quick", "--dataset", "mnists"), "unknown dataset 'mnists'; choose one of auto, aircraft"),
        (("--preset", "quick", "--dataset", "../digits"), "there is no folder or table ../digits"),
        (("--preset", "quick", "--data", "/etc", "--dataset", "cifar10"), "/etc does not hold CIFAR-10"),
        (("--preset", "quick", "--data", "/etc/hostname"), "/etc/hostname does not hold CIFAR-10"),
        ((*digits, "--device", "tpu9"), "device 'tpu9' is not available here; use --device cpu or auto"),
        ((*digits, "--device", "cuda:99"), "device 'cuda:99' is not available here"),
        ((*digits, "--device", "meta"), "device 'meta' computes nothing"),
        ((*digits, "--device", "cpu:x"), "device 'cpu:x' is not available here"),
        ((*digits, "--study", "../elsewhere"), "'../elsewhere' must be a plain name"),
        ((*digits, "--study", "/tmp/elsewhere"), "must be a plain name"),
        ((*digits, "--study", ".."), "'..' must be a plain name"),
        ((*digits, "--study", ".hidden"), "'.hidden' must be a plain name"),
        ((*digits, "--study", "two\nlines"), "must be a plain name"),
        ((*digits, "--study", "\x1b[31mred"), "must be a plain name"),
        ((*digits, "--study", "a" * 300), "File name too long"),
        ((*digits, "--runs", "/proc"), "cannot write to /proc"),
        ((*digits, "--runs", "/etc/hostname"), "cannot write to /etc/hostname"),
        ((*digits, "--runs", "/dev/null/x"), "cannot write to /dev/null/x"),
        ((*digits, "--study", STUDY), "holds a study of preset quick on CIFAR-10; choose another name"),
        ((*digits, "--study", "new", "--levels", "4"), "needs level1/finetuned/seed-0: add level 1 to --levels"),
        ((*digits, "--study", "new", "--levels", "5"), "add level"),
    ):
        yield Case(("study", *flags, *([] if "--runs" in flags else ["--runs", ALL_RUNS])), says)
    yield Case(
        ("study", *digits, "--study", "busy", "--runs", ALL_RUNS, "--levels", "1"), "another study is running", _hold
    )


HELD: list[FileLock] = []


def _hold(runs: Path) -> None:
    (runs / "busy").mkdir()
    HELD.append(FileLock(runs / "busy" / runner.LOCK))
    HELD[-1].acquire()


def _write(content: str | bytes, name: str = f"{STUDY}/{records.STUDY}") -> Harm:
    data = content.encode() if isinstance(content, str) else content
    return lambda runs: (runs / name).write_bytes(data)


def _edit(name: str = f"{STUDY}/{records.STUDY}", **changes: object) -> Harm:
    return lambda runs: write_json(runs / name, read_json(runs / name) | changes)


def _cut(runs: Path) -> None:
    path = runs / STUDY / records.STUDY
    path.write_bytes(path.read_bytes()[:1000])


def _folder_in_place_of_plan(runs: Path) -> None:
    (runs / STUDY / records.STUDY).unlink()
    (runs / STUDY / records.STUDY).mkdir()


def _first_experiment(**changes: object) -> Harm:
    def harm(runs: Path) -> None:
        first, *others = read_json(runs / STUDY / records.STUDY)["experiments"]
        _edit(experiments=[first | changes, *others])(runs)

    return harm


def _reading() -> Iterator[Case]:
    """A study that cannot be read, for every task that reads one."""
    damaged = "study.json is damaged"
    for name in _readers():
        told = (*_called(name), "--runs", ALL_RUNS)
        named = (*told, "--study", STUDY)
        yield Case((*told, "--study", "absent"), "no study in")
        yield Case((*told, "--study", "../" + STUDY), "must be a plain name")
        yield Case((*told, "--study", "."), "must be a plain name")
        yield Case((*told, "--study", "\x1b[2Jx"), "must be a plain name")
        yield Case((*_called(name), "--runs", "/nowhere"), "no study in /nowhere; run `invoke study` first")
        yield Case((*_called(name), "--runs", "/etc/hostname"), "no study in /etc/hostname")
        yield Case(named, "recorded by another version", _edit(format=records.FORMAT + 1))
        yield Case(named, "recorded by another version", _edit(format="4"))
        yield Case(named, "recorded by another version", _write("[]"))
        yield Case(named, damaged, _write(""))
        yield Case(named, damaged, _write(b"\xff\xfe\x00"))
        yield Case(named, damaged, _write("[" * 100_000))
        yield Case(named, damaged, _cut)
        yield Case(named, "no study in", _folder_in_place_of_plan)
        yield Case(named, "unknown field 'colour'", _edit(colour="blue"))
        yield Case(named, "Expected `array`", _edit(seeds="0"))
        yield Case(named, "Expected `int`", _edit(seeds=[None]))
        yield Case(named, damaged, _edit(dataset={}))
        yield Case(named, damaged, _edit(experiments=None))
        yield Case(named, "unknown kind of experiment 'os.system'", _first_experiment(kind="os.system"))
        yield Case(named, "unknown field '__class__'", _first_experiment(__class__="evil"))
        yield Case(named, "must be a plain name", _first_experiment(name="../../../../etc"))
        yield Case(named, "must be a plain name", _first_experiment(name=""))


def _manifest(**changes: object) -> Harm:
    """Edit what export.json says, with digests that hold."""

    def harm(runs: Path) -> None:
        folder = runs / DEPLOYED / "level5/export/seed-0"
        manifest = read_json(folder / "export.json")
        for name, value in changes.items():
            (manifest["models"][manifest["deployed"]] if name in ("file", "temperature") else manifest)[name] = value
        write_json(folder / "export.json", manifest)
        records.finish(folder, Outcome({"exported_accuracy": 0.8}, durations={"total": 1.0}))

    return harm


def _predicting() -> Iterator[Case]:
    """Images that are none, and exports that cannot be used."""

    def case(image: str, says: str, *more: str, harm: Harm | None = None) -> Case:
        return Case(("predict", image, "--runs", ALL_RUNS, "--study", DEPLOYED, *more), says, harm)

    picture = f"{ALL_RUNS}/white.png"
    yield case("/nowhere.png", "there is no image file /nowhere.png")
    yield case(f"{ALL_RUNS}/*.tiff", "there is no image file")
    yield case(",", "there is no image file")
    yield case("", "there is no image file")
    yield case("/etc", "there is no image file /etc")
    yield case("/etc/hostname", "cannot be read as an image")
    yield case("a\x1b[2J.png", "there is no image file a\\x1b[2J.png")
    yield case("two\nlines.png", "there is no image file two\\nlines.png")
    yield case(f"{picture},/nowhere.png", "there is no image file /nowhere.png")
    yield case(f"{ALL_RUNS}/half.png", "half.png cannot be read as an image", harm=_half_an_image)
    yield case(f"{ALL_RUNS}/bomb.png", "pixels; reduce it first", harm=_bomb)
    yield case(picture, "ask for at least one class", "--top", "0")
    yield case(picture, "--top takes numbers from 0 upwards", "--top", "-1")
    yield case(picture, "--top takes numbers", "--top", "all")
    yield case(picture, "--top takes one number", "--top", "1,2")
    yield case(picture, "export.json is damaged", harm=_manifest(deployed="float16"))
    yield case(picture, "must be a plain name", harm=_manifest(file="../../../../../etc/passwd"))
    yield case(picture, "export.json", harm=_manifest(models={}))
    yield case(picture, "export.json", harm=_manifest(classes=["only one"]))
    yield case(picture, "export.json", harm=_manifest(image_size="32"))
    yield case(picture, "export.json", harm=_manifest(temperature=0.0))
    yield case(
        picture, "no exported model that is whole", harm=_write(b"", f"{DEPLOYED}/level5/export/seed-0/export.json")
    )
    yield case(picture, "no exported model that is whole", harm=lambda runs: shutil.rmtree(runs / DEPLOYED / "level5"))
    yield Case(("predict", picture, "--runs", ALL_RUNS, "--study", STUDY), "has no exported model")


def _half_an_image(runs: Path) -> None:
    content = (runs / "white.png").read_bytes()
    (runs / "half.png").write_bytes(content[: len(content) // 2])


def _bomb(runs: Path) -> None:
    """A PNG that says it has 65,535 × 65,535 pixels."""
    import struct
    import zlib

    head = b"IHDR" + struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, b"IDAT")]
    (runs / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def _reporting() -> Iterator[Case]:
    """Reports and studies that cannot be written, checked or compared."""
    for command, says in (
        (("diff", STUDY, "nothing"), "nothing is neither a study"),
        (("diff", STUDY, OTHER), "only studies of one dataset can be compared"),
        (("verify", "--study", STUDY), "write it with `invoke report` first"),
        (("report", "--study", STUDY, "--settings", "nowhere.toml"), "cannot read the settings in nowhere.toml"),
    ):
        yield Case((*command, "--runs", ALL_RUNS), says)
    for name in ("report", "verify"):
        yield Case(
            (name, "--study", STUDY, "--runs", ALL_RUNS), "plans no experiment of any level", _edit(experiments=[])
        )


CASES = (*_usage(), *_study(), *_reading(), *_predicting(), *_reporting())


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fabricated studies of level 1 on two datasets, one that has an export, and an image."""
    from PIL import Image

    runs = tmp_path_factory.mktemp("studies")
    for name in (STUDY, OTHER):
        fabricate.fabricate(runs / name, images=20, planned=fabricate.experiments(1), stand_in=name == OTHER)
    deployed_study.write_deployed(runs / DEPLOYED)
    Image.new("RGB", (32, 32), "white").save(runs / "white.png")
    return runs


@pytest.fixture
def harmed(studies: Path, tmp_path: Path) -> Iterator[Callable[[Harm], Path]]:
    """Make a copy, harm it and return it."""

    def copy(harm: Harm) -> Path:
        runs = shutil.copytree(studies, tmp_path / "runs")
        harm(runs)
        return runs

    yield copy
    while HELD:
        HELD.pop().release()


def _digests(folder: Path) -> dict[str, str]:
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != runner.LOCK}
    return {p.as_posix(): hashlib.sha256(content).hexdigest() for p, content in files.items()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_is_one_line_and_exit_code_2_and_changes_nothing(
    case: Case, studies: Path, harmed: Callable[[Harm], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    runs = harmed(case.harm) if case.harm else studies
    before = _digests(runs)
    command = [part.replace(ALL_RUNS, str(runs)) for part in case.command]
    with pytest.raises(SystemExit) as left:
        Program(namespace=tasks.namespace).run(["invoke", *command])
    printed, said = capfd.readouterr()
    assert left.value.code == 2, said
    assert said.startswith("error: ") and case.says in said
    assert len(said.splitlines()) == 1 and said.rstrip("\n").isprintable()
    assert "Traceback" not in printed
    assert _digests(runs) == before


def test_there_are_a_hundred_bad_inputs_and_every_task_is_among_them() -> None:
    assert len(CASES) >= 100
    assert {case.command[0] for case in CASES} >= set(tasks.namespace.tasks)
    assert {"status", "report", "predict"} <= set(_readers())
