"""The house rules that a machine can hold: imports run one way, functions stay short, docs agree with the tasks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tasks

ROOT = Path(__file__).parent.parent
ROOMS = ("study", "analysis", "report")
MAY_IMPORT = {
    "study": {"study"},
    "analysis": {"analysis", "study"},
    "report": {"report", "analysis", "study"},
}
# Folders and files of study/, each of which may import from those in the rows above its own.
LAYERS = (
    {"errors"},
    {"experiment", "files", "streams"},
    {"description"},
    {"records", "machine"},
    {"status", "metrics", "data", "models"},
    {"inference"},
    {"training", "deployment"},
    {"kinds"},
    {"design"},
    {"running"},
)
# What analysis and report read are recorded arrays and numbers: they need no network and no images.
TOO_HEAVY_FOR_A_REPORT = {"torch", "timm", "torchvision", "pytorch_grad_cam", "onnxruntime", "optuna"} | {
    f"study.{name}" for name in ("models", "training", "inference", "data", "running", "deployment")
}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Names of all modules that a file imports: at its top, in functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if "." in node.module else {f"{node.module}.{a.name}" for a in node.names}
    return found


def part_of(path: Path) -> str:
    """The folder, or else the file, of its room that a path is in."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def parts_imported(path: Path) -> set[str]:
    """The folders and files of its own room that a file imports from, but for its own."""
    room = path.relative_to(ROOT).parts[0]
    return {name.split(".")[1] for name in imports(path) if name.startswith(f"{room}.")} - {part_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(path)} & {*ROOMS, "tasks", "tests"}
    assert ours <= MAY_IMPORT[room]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.is_relative_to(ROOT / "study")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_folders_of_study_import_one_way(path: Path) -> None:
    row = {name: number for number, names in enumerate(LAYERS) for name in names} | {"__init__": -1}
    wrong = [name for name in parts_imported(path) if row[name] >= row[part_of(path)]]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_two_parts_of_a_room_import_each_other(room: str) -> None:
    graph: dict[str, set[str]] = {}
    for path in (ROOT / room).rglob("*.py"):
        graph.setdefault(part_of(path), set()).update(parts_imported(path))
    assert set(TopologicalSorter(graph).static_order()) >= set(graph)  # CycleError names those that do


@pytest.mark.parametrize(
    "path", [p for p in FILES if not p.is_relative_to(ROOT / "study")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_analysis_and_report_need_neither_networks_nor_images(path: Path) -> None:
    heavy = {
        name for name in imports(path) if {name.split(".")[0], ".".join(name.split(".")[:2])} & TOO_HEAVY_FOR_A_REPORT
    }
    assert heavy == set()


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


def test_documents_name_only_flags_that_exist() -> None:
    told = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/clusters.md"))
    lines = re.findall(r"(?m)^(?:.*/)?invoke (\w+) ([^#\n]*--[^#\n]*)", told)
    assert len(lines) > 15
    for task, given in lines:
        known = {f"--{name}" for argument in tasks.namespace[task].get_arguments() for name in argument.names}
        assert set(re.findall(r"--[a-z-]+", given)) <= known, task


def test_nothing_of_the_data_is_under_version_control() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.split("\0")
    assert "README.md" in names
    kinds = (".npz", ".npy", ".gz", ".zip", ".pkl", ".pt", ".safetensors", ".onnx", "-ubyte")
    assert not [name for name in names if "cifar-10-batches" in name or name.endswith(kinds)]
