"""The text of a finished PDF, and passages found in it, whatever breaks their lines, pages and words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from report.passages import Passage, Piece
from study.errors import StudyError

HYPHEN = re.compile("[-\N{HYPHEN}\N{SOFT HYPHEN}\x02](?:\\s*\n)?")  # \x02: PDFium's, at the end of a line
KEPT = re.compile(r"[A-Za-z0-9\N{MINUS SIGN}+.,%<=>±×]")  # what every engine and font prints and gives back alike
NUMBER = re.compile(r"[\N{MINUS SIGN}+±<]?\d+(?:[.,]\d+)*%?")
TOKEN = re.compile(rf"{NUMBER.pattern}|[A-Za-z]+")
PAGE_NUMBER = re.compile(r"\s*(\d+)(?:\s*(?:/|of)\s*\d+)?\s*\Z")
YEARS = re.compile(r"\b(?:1[89]|20)\d\d[a-z]?\b")
SHORT = 24  # characters of a passage that could stand in another one by chance


class Word(NamedTuple):
    """A word or number of a document, and its place in the raw text."""

    text: str
    place: int


@dataclass
class Stream:
    """Characters of a document that matter, each with its place in ``raw``; passages are cut out as they are found."""

    raw: str
    text: str
    places: list[int]

    @classmethod
    def of(cls, text: str) -> Stream:
        """The stream of a text."""
        raw = unicodedata.normalize("NFKC", text)  # ligatures become letters
        places = [place for place, char in enumerate(raw) if KEPT.fullmatch(char)]
        return cls(raw, "".join(raw[place] for place in places), places)

    def cut(self, start: int, end: int) -> None:
        """Take a stretch out, so that what stood around it meets."""
        self.text = self.text[:start] + self.text[end:]
        self.places = self.places[:start] + self.places[end:]

    def words(self) -> list[Word]:
        """Words and numbers of what was not cut out, in order."""
        rest, last = [], -1
        for place in self.places:
            gap = self.raw[last + 1 : place]
            rest += [(" ", place)] if KEPT.search(gap) else [(char, place) for char in HYPHEN.sub("", gap)]
            rest.append((self.raw[place], place))
            last = place
        text = "".join(char for char, _ in rest)
        return [Word(found[0], rest[found.start()][1]) for found in TOKEN.finditer(text)]


def pdf_text(path: Path) -> str:
    """All text of a PDF in reading order, without running heads and page numbers. StudyError when it is no PDF."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
        pages = [page.get_textpage().get_text_bounded().replace("\r", "") for page in document]
    except (pypdfium2.PdfiumError, OSError) as error:
        raise StudyError(f"{path} cannot be read as a PDF ({error}); write it again with `invoke report`") from error
    return "\n".join(_bodies(pages))


def _bodies(pages: Sequence[str]) -> Iterator[str]:
    """Pages without the line that heads most of them, and without the number at the end of each."""
    heads = Counter(page.partition("\n")[0] for page in pages[1:])
    head, times = heads.most_common(1)[0] if heads else ("", 0)
    for number, page in enumerate(pages, start=1):
        first, _, rest = page.partition("\n")
        body = rest if first == head and times > 1 else page
        found = PAGE_NUMBER.search(body)
        yield body[: found.start()] if found and int(found[1]) == number else body


def take_out(stream: Stream, wanted: Sequence[Passage]) -> list[Passage]:
    """Cut all passages that stand in the stream as they should, and return those that do not.

    Floats stand between the halves of a paragraph, so what is not found is looked for again when others are gone;
    long passages go first, since a short one may stand inside them.
    """
    wanted = list(_heads_once(wanted))
    longest_first = sorted(range(len(wanted)), key=lambda number: -len(plain(wanted[number])))
    missing = [number for number in longest_first if plain(wanted[number])]
    for shortest in (SHORT, SHORT, 0, 0):
        missing = [n for n in missing if len(plain(wanted[n])) < shortest or not _cut_one(stream, wanted[n])]
    return [wanted[number] for number in sorted(missing)]


def _heads_once(wanted: Sequence[Passage]) -> Iterator[Passage]:
    """The passages, a head that several tables share only once."""
    seen: set[str] = set()
    for passage in wanted:
        if not passage.heads or plain(passage) not in seen:
            yield passage
        if passage.heads:
            seen.add(plain(passage))


def _cut_one(stream: Stream, passage: Passage) -> bool:
    """Cut a passage out if it is there, the head of a table on every page of it."""
    pattern = re.compile(_pattern(passage.pieces))
    found = pattern.search(stream.text)
    while match := pattern.search(stream.text):
        stream.cut(*match.span())
        if not passage.heads:
            break
    return found is not None


def tokens(text: str) -> list[str]:
    """The words and numbers of a line, as they are found in a stream."""
    return TOKEN.findall(HYPHEN.sub("", unicodedata.normalize("NFKC", text)))


def _plain(text: str) -> str:
    """The characters that count."""
    return "".join(KEPT.findall(unicodedata.normalize("NFKC", text)))


def plain(passage: Passage) -> str:
    """The passage's characters that count."""
    return _plain("".join(piece.text for piece in passage.pieces))


def _pattern(pieces: Sequence[Piece]) -> str:
    """A passage as a regular expression: citations give their years, in whatever order the style has."""
    parts, years = [], []
    for piece in pieces:
        if piece.role == "citation":
            years += YEARS.findall(piece.text)
            continue
        if letters := _plain(piece.text):
            parts += [_cited(years), re.escape(letters)]
            years = []
    return "".join((*parts, _cited(years)))


def _cited(years: Sequence[str]) -> str:
    """Names and years of works, as many as are cited in one go."""
    one = "|".join(sorted({year[:4] for year in years}))
    return rf"(?:\D{{0,80}}?(?:{one})[a-z]?){{{len(years)}}}" if years else ""
