"""The house rules that a machine can hold: imports run one way, functions stay short, docs agree with the tasks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("study", "analysis", "report")
MAY_IMPORT = {
    "study": {"study"},
    "analysis": {"analysis", "study"},
    "report": {"report", "analysis", "study"},
}
ANALYSIS_MAY_IMPORT_FROM_STUDY = {
    "study.records", "study.models.classifier", "study.data.datasets", "study.errors", "study.experiment",
    "study.metrics.calibration",
}  # fmt: skip
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if "." in node.module else {f"{node.module}.{a.name}" for a in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    ours = {name for name in imports(path) if name.split(".")[0] in (*ROOMS, "tasks", "tests")}
    assert {name.split(".")[0] for name in ours} <= MAY_IMPORT[room]
    if room == "analysis":
        assert {name for name in ours if name.startswith("study")} <= ANALYSIS_MAY_IMPORT_FROM_STUDY


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno + 1 > 60] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    assert ast.get_docstring(tree)
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def listed_tasks() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--list", "-F", "json"], cwd=ROOT, capture_output=True, text=True
    )
    return {task["name"] for task in json.loads(done.stdout)["tasks"]}


def test_readme_lists_exactly_the_tasks() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `invoke (\w+)` \|", readme, flags=re.MULTILINE)) == listed_tasks()


def test_readme_names_only_flags_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for task, flags in re.findall(r"^(?:.*/)?invoke (\w+) (--[^#\n]*)", readme, flags=re.MULTILINE):
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "--help", task], cwd=ROOT, capture_output=True, text=True
        )
        assert set(re.findall(r"--[a-z-]+", flags)) <= set(re.findall(r"--[a-z-]+", done.stdout)), task


def test_nothing_of_the_data_is_under_version_control() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert not [name for name in done.stdout.split() if "cifar-10-batches" in name or name.endswith((".npz", ".npy"))]
