"""Where a finished document, PDF, HTML or LaTeX, says another thing than the paper rendered anew."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from report import marks, reading
from report.passages import Passage, numbers_in_equations, passages
from report.reading import Stream, Word

DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
SIGN = r"(?:\\ensuremath\{-\}|[\N{MINUS SIGN}+±])"
SOURCE_TOKEN = re.compile(rf"{SIGN}?\d+(?:[.,]\d+)*|[^\W\d_]+|\S")
MARKUP = re.compile(r"^[^<>]*>|<[^>]*>|<[^>]*$|\\[A-Za-z]+|[{}&~\\]")
AROUND = 25  # words that an altered passage may be longer or shorter than it should be
NEARBY = 60  # characters of a source shown on each side of a difference
NEAR = 4  # words shown on each side of a difference
SAME = 0.5  # of a passage's words must be there for it to count as the altered passage


@dataclass(frozen=True)
class Difference:
    """What a document prints where the records say otherwise.

    ``expected`` is empty for what has no source, ``printed`` for what is missing; ``name`` is that of a fact, cell,
    caption or finding, empty in between; ``near`` are the words around it, ``contradicts`` what the words are not true
    of.
    """

    document: str
    name: str
    expected: str
    printed: str
    near: str = ""
    contradicts: str = ""

    def __str__(self) -> str:
        where = f"{self.document}: {self.name or 'text'}"
        if self.contradicts:
            told = f"{self.printed!r} is printed, but {self.contradicts}"
        elif not self.expected:
            told = f"{self.printed!r} has no source"
        elif not self.printed:
            told = f"{self.expected!r} is missing"
        else:
            told = f"{self.printed!r} is printed, {self.expected!r} is right"
        return f"{where}: {told}" + (f" (near {self.near!r})" if self.near else "")


def in_source(document: str, marked: str, printed: str) -> Iterator[Difference]:
    """Differences of a finished source, HTML or LaTeX, from the one rendered anew with its marks in.

    Differences in numbers, and any at all in what is marked; other words may be edited.
    """
    expected, spans = marks.lifted(DRAWING.sub("", marked))
    printed = DRAWING.sub("", printed)
    if expected == printed:
        return
    ours, theirs = (text.splitlines(keepends=True) for text in (expected, printed))
    offset = [0]
    for line in ours:
        offset.append(offset[-1] + len(line))
    for a, b, c, d in _changes(ours, theirs):
        for start, end, wrong in _in_lines("".join(ours[a:b]), "".join(theirs[c:d])):
            start, end = offset[a] + start, offset[a] + end
            names = dict.fromkeys(span.name for span in spans if span.start < max(end, start + 1) and start < span.end)
            if names or re.search(r"\d", expected[start:end] + wrong):
                yield Difference(document, ", ".join(names), expected[start:end], wrong, _near(expected, start, end))


def _changes(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    for what, *places in SequenceMatcher(None, a, b).get_opcodes():
        if what != "equal":
            yield places[0], places[1], places[2], places[3]


def _in_lines(expected: str, printed: str) -> Iterator[tuple[int, int, str]]:
    """Where the text should be another one, from and up to, and what stands there."""
    ours, theirs = (list(SOURCE_TOKEN.finditer(text)) for text in (expected, printed))
    for a, b, c, d in _changes([token[0] for token in ours], [token[0] for token in theirs]):
        start = ours[a].start() if a < len(ours) else len(expected)
        yield (
            start,
            ours[b - 1].end() if b > a else start,
            printed[theirs[c].start() : theirs[d - 1].end()] if d > c else "",
        )


def _near(text: str, start: int, end: int) -> str:
    return " ".join(MARKUP.sub(" ", text[max(0, start - NEARBY) : end + NEARBY]).split())


@dataclass(frozen=True)
class Token:
    """A word or number that a passage should have, and the name of what it prints."""

    text: str
    name: str

    @property
    def number(self) -> bool:
        """Whether it is a number."""
        return self.text[-1].isdigit() or self.text.endswith("%")


def in_pdf(document: str, raw: str, page: str) -> list[Difference]:
    """Differences of a PDF's text from the page rendered anew with its marks in.

    Differences in numbers, and in words of findings, cells and captions; other words may be edited. References and
    equations, which each engine sets in its own way, are not compared.
    """
    stream = Stream.of(raw)
    altered = reading.take_out(stream, passages(page))
    words, found = stream.words(), []
    for passage in sorted(altered, key=lambda passage: not passage.floats):  # floats may stand amid a paragraph
        found += _aligned(document, _tokens(passage), words)
    return found + list(_without_source(document, words, _references(stream.raw), Counter(numbers_in_equations(page))))


def _tokens(passage: Passage) -> list[Token]:
    return [Token(text, piece.name) for piece in passage.pieces for text in reading.tokens(piece.text)]


def _aligned(document: str, tokens: Sequence[Token], words: list[Word]) -> list[Difference]:
    """Differences of a passage from the words most like it, which are then taken out of ``words``."""
    ours, start, end = [token.text for token in tokens], *_most_like(tokens, words)
    theirs = [word.text for word in words[start:end]]
    changes = [each for each in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes() if each[0] != "equal"]
    if sum(b - a for _, a, b, _, _ in changes) > (1 - SAME) * len(ours):
        return [Difference(document, name, text, "") for name, text in _by_name(tokens)]
    del words[start:end]
    found = (_told(document, tokens, a, b, theirs[c:d]) for _, a, b, c, d in changes)
    return [difference for difference in found if difference]


def _most_like(tokens: Sequence[Token], words: Sequence[Word]) -> tuple[int, int]:
    """From where up to where the words are most like a passage."""
    ours, theirs = [token.text for token in tokens], [word.text for word in words]
    longest = SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match()
    first = max(0, longest.b - longest.a - AROUND)
    window = theirs[first : longest.b - longest.a + len(ours) + AROUND]
    found = [b for b in SequenceMatcher(None, ours, window, autojunk=False).get_matching_blocks() if b.size]
    if not found:
        return 0, 0
    tail = len(ours) - found[-1].a - found[-1].size  # words of the passage after the last that is there
    return max(0, first + found[0].b - found[0].a), first + found[-1].b + found[-1].size + tail


def _by_name(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """What is printed under each name, and each number without one."""
    parts: dict[str, list[str]] = {}
    for token in tokens:
        if token.name or token.number:
            parts.setdefault(token.name, []).append(token.text)
    return ((name, " ".join(texts)) for name, texts in parts.items())


def _told(document: str, tokens: Sequence[Token], start: int, end: int, wrong: Sequence[str]) -> Difference | None:
    """The difference of some tokens from what stands there, unless it is one of words that may be edited."""
    right = tokens[start:end]
    counts = any(token.name or token.number for token in right) or re.search(r"\d", "".join(wrong))
    if "".join(token.text for token in right) == "".join(wrong) or not counts:
        return None
    names = ", ".join(dict.fromkeys(token.name for token in right if token.name))
    near = " ".join(token.text for token in tokens[max(0, start - NEAR) : end + NEAR])
    return Difference(document, names, " ".join(token.text for token in right), " ".join(wrong), near)


def _references(raw: str) -> range:
    """The places in the text between the head of the references and that of the first appendix."""
    heads = list(re.finditer(r"^\s*References\s*$", raw, re.MULTILINE))
    if not heads:
        return range(0)
    appendix = re.search(r"^\s*A\s+[A-Z][a-z]", raw[heads[-1].end() :], re.MULTILINE)
    return range(heads[-1].start(), heads[-1].end() + appendix.start() if appendix else len(raw))


def _without_source(
    document: str, words: Sequence[Word], references: range, equations: Counter[str]
) -> Iterator[Difference]:
    """Numbers that no passage holds, but for those of references and equations."""
    for position, word in enumerate(words):
        digits = re.sub(r"\D", "", word.text)
        if not digits or word.place in references:
            continue
        if equations[digits] > 0:
            equations[digits] -= 1
            continue
        near = " ".join(each.text for each in words[max(0, position - NEAR) : position + NEAR + 1])
        yield Difference(document, "", "", word.text, near)
