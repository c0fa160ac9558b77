"""A table of images: a CSV with the columns file, label and, where the splits are given, split."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from study.data.listing import Listing, some, split_of
from study.data.sources.folder import listing_of
from study.errors import StudyError, printable

if TYPE_CHECKING:
    import pandas as pd


def load(path: Path) -> Listing:
    """The images that the table names, relative to its folder. StudyError for a row that does not say what is meant."""
    table, where = _read(path), printable(str(path))
    folder = path.parent
    if rows := [f"{row + 2} ({text})" for row, text in enumerate(table["file"]) if _outside(folder, text)]:
        raise StudyError(f"{where} names files outside its folder in line {some(rows)}; copy them into {folder}")
    paths = [folder / text for text in table["file"]]
    if absent := [str(file) for file in paths if not file.is_file()]:
        raise StudyError(f"{where} names files that are not there: {some(absent)}")
    if rows := [str(row + 2) for row, label in enumerate(table["label"]) if not label]:
        raise StudyError(f"{where} has no label in line {some(rows)}")
    repeated = table["file"][table["file"].duplicated()]
    if len(repeated):
        raise StudyError(f"{where} names a file more than once: {some(list(repeated.unique()))}; keep one line of each")
    splits = [split_of(text) for text in table["split"]] if "split" in table else []
    if wrong := [f"{row + 2} ({table['split'][row]})" for row, split in enumerate(splits) if not split]:
        raise StudyError(f"{where} has no known split in line {some(wrong)}; use train, val or test")
    if "split" in table and "train" not in splits:
        raise StudyError(f"{where} has no line whose split is train")
    files = list(zip(splits or [""] * len(table), table["label"], paths, strict=True))
    return listing_of(path, folder, files, sorted(set(table["label"])), ())


def _outside(folder: Path, text: str) -> bool:
    """Whether a file's name leads out of the folder of the table."""
    return Path(text).is_absolute() or ".." in Path(text).parts


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    where = printable(str(path))
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines with more fields than the header
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, sep=separator, encoding="utf-8-sig", index_col=False
            )
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise StudyError(f"{where} cannot be read as a table: {str(error).splitlines()[0]}") from error
    table.columns = table.columns.str.strip().str.lower()
    if again := table.columns[table.columns.duplicated()].tolist():
        raise StudyError(f"{where} has the column {some(again)} more than once; upper and lower case are the same")
    if missing := [name for name in ("file", "label") if name not in table]:
        raise StudyError(f"{where} lacks the column {some(missing)}; its header must be file,label or file,label,split")
    if table.empty:
        raise StudyError(f"{where} has no line below its header")
    table["label"] = table["label"].str.strip().str.normalize("NFC")
    return table
