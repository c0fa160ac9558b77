"""Whether a report is still the one that its study, settings and code would give: digests beside it say so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from analysis import fonts
from analysis.view import StudyView
from report import pdf
from report.environment import TEMPLATES
from study.errors import StudyError
from study.files import read_json, sha256, write_json
from study.records import RESULT, STUDY, SUPERSEDED

BUILD = "build.json"
ROOMS = ("study", "analysis", "report")
# What draws, sets and computes a paper, so that another version may print another one.
LIBRARIES = (
    "jinja2", "markupsafe", "matplotlib", "msgspec", "numpy", "pandas", "pybtex", "pylatexenc", "scikit-learn", "scipy",
    "seaborn", "statsmodels", "typst",
)  # fmt: skip


def inputs(study: Path, view: StudyView, settings: Path) -> dict[str, str]:
    """SHA-256 of each thing that decides what a report of a study says.

    Of the dataset's folder it reads the small files, which may describe labels; images are in the records' fingerprint.
    """
    root, data = Path(__file__).parent.parent, view.plan.dataset.folder
    records = [study / STUDY, *(run.folder / RESULT for run in view.all_runs)]
    beside = Path(data) if data else study / "nowhere"
    return {
        "records": _digest(study, [*records, *(study / SUPERSEDED).rglob(RESULT)]),
        "label files": _digest(beside, [*beside.glob("*.json"), *beside.glob("*.npy")]),
        "settings": _digest(settings.parent, [settings]),
        "templates": _digest(TEMPLATES, TEMPLATES.rglob("*")),
        "code": _digest(root, (path for room in ROOMS for path in (root / room).rglob("*.py"))),
        "libraries": hashlib.sha256(" ".join(map(version, LIBRARIES)).encode()).hexdigest(),
        "PDF engine": "LaTeX" if pdf.has_latex() else "Typst",
        "fonts": ", ".join(f"{each}: {fonts.font_of(each)}" for each in sorted(set("".join(view.names_shown)))),
    }


def _digest(root: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of those paths that are files."""
    files = sorted((path.relative_to(root).as_posix(), path) for path in paths if path.is_file())
    return hashlib.sha256("".join(f"{name} {sha256(path)}\n" for name, path in files).encode()).hexdigest()


def _outputs(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != BUILD)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def remember(folder: Path, made_of: dict[str, str]) -> None:
    """Write down what the report in a folder was made of, and what was made; what a kill left half-written goes."""
    for left in folder.rglob(".*.partial"):
        left.unlink(missing_ok=True)
    write_json(folder / BUILD, {"made of": made_of, "files": _outputs(folder)})


def changes(folder: Path, made_of: dict[str, str]) -> list[str]:
    """What changed since the report in a folder was written; nothing where it is fresh."""
    if not (folder / BUILD).is_file():
        return ["no report was written yet"]
    try:
        stored = read_json(folder / BUILD)
        before, files = dict(stored["made of"]), dict(stored["files"])
    except (StudyError, KeyError, TypeError, ValueError):
        return [f"{BUILD} is damaged"]
    now = _outputs(folder)
    touched = sorted(name for name in {**files, **now} if files.get(name) != now.get(name))
    return [name for name in made_of if made_of[name] != before.get(name)] + touched
