from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from invoke import Task

import tasks
from study.running import runner
from study.running.options import Options


def test_every_option_is_a_flag_with_its_help() -> None:
    as_declared = Task(tasks.study, help=dict(tasks.STUDY_HELP))  # a task gives its help away once
    flags = {argument.names[0]: argument for argument in as_declared.get_arguments()}
    fields = {each.name: each for each in dataclasses.fields(Options)}
    assert set(flags) == {name.replace("_", "-") for name in fields}
    for name, each in fields.items():
        flag = flags[name.replace("_", "-")]
        assert flag.help == each.metadata["help"] and len(flag.help) > 10
        assert (flag.kind is bool) == (each.default is False)


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], Options()),
        (["--levels", "2,1", "--seeds", "0,3"], Options(levels=(2, 1), seeds=(0, 3))),
        (["--only", "level1/*,level3/se-head"], Options(only=("level1/*", "level3/se-head"))),
        (["--workers", "3", "--runs", "elsewhere"], Options(workers=3, runs=Path("elsewhere"))),
        (["--dry-run", "--compile", "--deterministic"], Options(dry_run=True, compile=True, deterministic=True)),
        (
            ["--preset", "cpu", "--data", "d", "--dataset", "digits", "--device", "cpu", "--study", "s"],
            Options(preset="cpu", data="d", dataset="digits", device="cpu", study="s"),
        ),
    ],
)
def test_flags_become_options(flags: list[str], options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    from invoke import Program

    given: list[Options] = []
    monkeypatch.setattr(runner, "run", lambda wanted: given.append(wanted) or Path())
    Program(namespace=tasks.namespace).run(["invoke", "study", *flags], exit=False)
    assert given == [options]
