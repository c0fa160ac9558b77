"""requirements.lock holds an allowed version of all that pyproject.toml asks for, and README installs with it."""

from __future__ import annotations

import importlib
import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[:1] not in ("", "#")]
LOCKED = [Requirement(line) for line in LINES]


def pyproject() -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # which pytest needs there
    return toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def asked() -> list[Requirement]:
    """What pyproject.toml asks for, with all its extras."""
    project = pyproject()["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(text) for each in lists for text in each]
    return [each for each in found if each.name != project["name"]]


def where(python: str) -> dict[str, str]:
    """The markers' environment of a Python on Linux."""
    here = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
    return here | linux | {"python_version": python, "python_full_version": f"{python}.7"}


def applies(requirement: Requirement, python: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(where(python))


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_locked_at_an_allowed_version(python: str) -> None:
    locked = {canonicalize_name(each.name): each for each in LOCKED if applies(each, python)}
    names = {each.name for each in asked()}
    assert {"torch", "timm", "onnxruntime", "pytest", "mypy"} <= names
    for each in asked():
        if applies(each, python):
            (exact,) = locked[canonicalize_name(each.name)].specifier
            assert exact.operator == "==" and each.specifier.contains(exact.version), each


@pytest.mark.parametrize("python", PYTHONS)
def test_a_name_has_one_version_for_each_python(python: str) -> None:
    names = [canonicalize_name(each.name) for each in LOCKED if applies(each, python)]
    assert len(names) == len(set(names)) > 60
    assert all(len(each.specifier) == 1 for each in LOCKED)


def test_readme_and_ci_install_with_the_lock() -> None:
    commands = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    installs = re.findall(r"pip install.*-e \S+.*", commands)
    assert len(installs) >= 3
    without = [line for line in installs if "-c requirements.lock" not in line]
    assert without == ["pip install -e .` takes the newest versions instead."], "README says how to install without it"


@pytest.mark.parametrize("room", ["study", "analysis", "report", "templates"])
def test_what_is_no_code_is_installed_beside_it(room: str) -> None:
    installed = pyproject()["tool"]["setuptools"]["package-data"]
    files = (path.relative_to(ROOT) for path in (ROOT / room).rglob("*") if path.is_file())
    for path in (path for path in files if path.suffix not in (".py", ".pyc")):
        patterns = installed.get(".".join(path.parent.parts), [])
        assert any(fnmatch(path.name, pattern) for pattern in patterns), path
