"""Predictions made elsewhere as a file holds them: an npz of arrays, or a CSV with a row per image."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.errors import StudyError
from study.kinds.added import Arrays, Form
from study.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd

FORMS: tuple[Form, ...] = ("logits", "probabilities", "predicted")
# How the columns of a CSV begin that hold a class's score.
COLUMNS: dict[str, Form] = {"logit_": "logits", "probability_": "probabilities"}


def read(path: Path, classes: tuple[str, ...]) -> tuple[Form, dict[str, Arrays]]:
    """The form of the predictions, and by split ``labels`` (N,), what the form names and perhaps ``indices`` (N,).

    An npz names its arrays ``test_labels`` and ``test_logits``, ``test_probabilities`` or ``test_predicted``, and the
    same with ``validation_``; without a split they are of test images. A CSV has the columns ``label``, either
    ``predicted`` or one ``logit_<class>`` or ``probability_<class>`` for each class, and perhaps ``split``; classes are
    called by name, or by number. StudyError for a file of another kind, a damaged one, and one that lacks something.
    """
    readers = {".npz": lambda: _of_npz(path), ".csv": lambda: _of_csv(path, classes)}
    if (reader := readers.get(path.suffix.lower())) is None:
        raise StudyError(f"{path.name} is neither an .npz nor a .csv file of predictions")
    if not path.is_file():
        raise StudyError(f"there is no file {path}")
    arrays = reader()
    forms = [form for form in FORMS if f"test_{form}" in arrays]
    if "test_labels" not in arrays or len(forms) != 1:
        raise StudyError(
            f"{path.name} must hold labels and one of {', '.join(FORMS)} of the test images; "
            f"found {', '.join(sorted(arrays)) or 'nothing'}"
        )
    (form,) = forms
    complete = [split for split in SPLITS if {f"{split}_labels", f"{split}_{form}"} <= set(arrays)]
    if incomplete := [name for split in SPLITS if split not in complete for name in arrays if name.startswith(split)]:
        raise StudyError(f"{path.name} has {incomplete[0]}, and not both labels and {form} of those images")
    return form, {split: _of_split(arrays, split) for split in complete}


def _of_split(arrays: Mapping[str, np.ndarray], split: str) -> Arrays:
    return {name.removeprefix(f"{split}_"): values for name, values in arrays.items() if name.startswith(f"{split}_")}


def _of_npz(path: Path) -> Arrays:
    wanted = {f"{split}_{name}" for split in SPLITS for name in ("labels", "indices", *FORMS)}
    if not zipfile.is_zipfile(path):
        raise StudyError(f"{path.name} is no npz file, or a damaged one")
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = [held if held.startswith(SPLITS) else f"test_{held}" for held in stored.files]
            if twice := sorted(name for name in wanted if names.count(name) > 1):
                raise StudyError(f"{path.name} holds {twice[0]} twice, once as {twice[0].removeprefix('test_')}")
            return {name: stored[held] for name, held in zip(names, stored.files, strict=True) if name in wanted}
    except (ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:  # one for a password
        why = "it holds Python objects, which are not loaded" if "pickle" in str(error) else "it is damaged"
        raise StudyError(f"{path.name} cannot be read: {why}") from error


def _of_csv(path: Path, classes: tuple[str, ...]) -> Arrays:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        reason = str(error).strip().splitlines()[0]
        raise StudyError(f"{path.name} cannot be read as a CSV file: {reason}") from error
    splits = table.pop("split") if "split" in table else pd.Series("test", index=table.index)
    if strange := sorted({*splits} - {*SPLITS}):
        raise StudyError(f"{path.name} has the split {strange[0]!r}; splits are {' and '.join(SPLITS)}")
    columns = _columns(table, classes, path.name)
    rows = {split: (splits == split).to_numpy() for split in SPLITS}
    return {
        f"{split}_{name}": values[own] for split, own in rows.items() if own.any() for name, values in columns.items()
    }


def _columns(rows: pd.DataFrame, classes: tuple[str, ...], file: str) -> Arrays:
    """Labels, hard labels and scores of a table's rows, as far as there are such columns."""
    scores = {prefix: [name for name in rows if name.startswith(prefix)] for prefix in COLUMNS}
    called = {name: set(rows[name]) for name in ("label", "predicted") if name in rows}
    called |= {prefix: {name.removeprefix(prefix) for name in given} for prefix, given in scores.items() if given}
    if any(name.isdecimal() and number != int(name) < len(classes) for number, name in enumerate(classes)):
        called = dict.fromkeys(called, set().union(*called.values()))  # a name that is a number may mean another class
    number = {what: _numbers(words, classes, file) for what, words in called.items()}
    names = {"label": "labels", "predicted": "predicted"}
    arrays = {into: rows[name].map(number[name]).to_numpy(np.int64) for name, into in names.items() if name in rows}
    for prefix, form in COLUMNS.items():
        if not (given := scores[prefix]):
            continue
        columns = {number[prefix][name.removeprefix(prefix)]: name for name in given}
        if len(given) > len(columns) or set(columns) != set(range(len(classes))):
            raise StudyError(f"{file} must have one column {prefix}<class> for each of the {len(classes)} classes")
        try:
            arrays[form] = rows[[columns[number] for number in range(len(classes))]].to_numpy().astype(float)
        except ValueError as error:
            raise StudyError(f"{file} holds what is no number in a column {prefix}<class>: {error}") from error
    return arrays


def _numbers(words: Collection[str], classes: tuple[str, ...], file: str) -> dict[str, int]:
    """Numbers of the classes that are meant: all are called by their names, or all by their numbers.

    StudyError where neither is so.
    """
    named = {word: classes.index(word) for word in words if word in classes}
    numbered = {word: int(word) for word in words if word.isdecimal() and int(word) < len(classes)}
    for found in (named, numbered):
        if len(found) == len(words):
            return found
    if strange := sorted({*words} - {*named} - {*numbered}):
        known = ", ".join(classes[:3])
        raise StudyError(f"{file} has the class {strange[0]!r}, which the study lacks; it knows {known}, ...")
    raise StudyError(f"{file} calls some classes by name and others by number; call all of them the same way")
