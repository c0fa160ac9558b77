"""paper.toml: what a user may say in the paper: title, authors, date, an abstract and sections of their own."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import msgspec

from study.errors import StudyError

PAPER = "paper.toml"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the user's own, before the conclusion: a heading and paragraphs, separated by empty lines."""

    heading: str
    text: str

    @property
    def paragraphs(self) -> list[str]:
        """The text's paragraphs."""
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What paper.toml may set; what it leaves out the paper says by itself."""

    title: str = ""
    authors: tuple[str, ...] = ()
    affiliation: str = ""
    date: str = ""
    abstract: str = ""
    sections: tuple[Section, ...] = ()

    @property
    def byline(self) -> str:
        """Authors, affiliation and date in one line; empty where none is given."""
        return " · ".join(filter(None, (", ".join(self.authors), self.affiliation, self.date)))

    @property
    def year(self) -> str:
        """The year in the date; empty where there is none."""
        return next(iter(re.findall(r"\b\d{4}\b", self.date)), "")

    @property
    def texts(self) -> list[str]:
        """Everything that the user wrote."""
        own = [part for each in self.sections for part in (each.heading, *each.paragraphs)]
        return [self.title, self.byline, self.abstract, *own]


def read_settings(path: Path, required: bool = False) -> Settings:
    """The settings in a file; the defaults where there is none, unless it is ``required``.

    StudyError for a key that does not exist, a value of another type, or text that is no TOML.
    """
    if not path.exists() and not required:
        return Settings()
    try:
        given = msgspec.toml.decode(path.read_bytes())
        # TOML has dates of its own, which print as they are written.
        dated = {"date": str(given["date"])} if isinstance(given.get("date"), datetime.date) else {}
        return msgspec.convert(given | dated, Settings)
    except OSError as error:
        raise StudyError(f"cannot read the settings in {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        known = ", ".join(Settings.__struct_fields__)
        raise StudyError(f"{path} is no settings file ({' '.join(str(error).split())}); it may set {known}") from error
