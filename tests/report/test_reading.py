"""Passages found in a document's text whatever breaks it, and numbers told apart from what is beside them."""

from __future__ import annotations

from report.passages import Passage, Piece, passages
from report.reading import Stream, take_out

PARAGRAPH = Passage((Piece("Accuracy rises to "), Piece("91.34 %", "accuracy"), Piece(" with well-kept augmentation.")))
CAPTION = Passage((Piece("Table 1. Classification of 1,000 images."),), floats=True)


def _left(text: str, *wanted: Passage) -> list[Passage]:
    return take_out(Stream.of(text), wanted)


def test_line_breaks_hyphens_and_ligatures_change_nothing() -> None:
    assert _left("Accu-\nracy rises\nto 91.34\N{NO-BREAK SPACE}% with well-kept aug\x02\nmentation.", PARAGRAPH) == []
    ligature = Passage((Piece("five fine coefficients of a first fit"),))
    assert _left("ﬁve ﬁne coeﬃcients of a ﬁrst ﬁt", ligature) == []


def test_a_paragraph_torn_by_a_float_is_found() -> None:
    torn = "Accuracy rises to 91.34 % \nTable 1. Classification of 1,000 images.\nwith well-kept augmentation."
    assert _left(torn, PARAGRAPH, CAPTION) == []


def test_another_number_is_not_found_and_a_minus_sign_counts() -> None:
    assert _left("Accuracy rises to 91.35 % with well-kept augmentation.", PARAGRAPH) == [PARAGRAPH]
    negative = Passage((Piece("a change of the whole by \N{MINUS SIGN}0.5 points"),))
    assert _left("a change of the whole by 0.5 points", negative) == [negative]


def test_citations_are_found_by_their_years_in_any_style() -> None:
    cited = Passage((Piece("as shown before ("), Piece("Guo et al., 2017", role="citation"), Piece("; "),
                     Piece("Wilson, 1927", role="citation"), Piece("), again and again.")))  # fmt: skip
    assert _left("as shown before (E. B. Wilson 1927; Guo and others 2017a), again and again.", cited) == []
    assert _left("as shown before (Guo et al., 2018; Wilson, 1927), again and again.", cited) == [cited]


def test_the_head_of_a_table_may_come_again_on_its_next_page() -> None:
    head = Passage((Piece("Experiment Test accuracy, %"),), floats=True, heads=True)
    stream = Stream.of("Experiment Test accuracy, % row Experiment Test accuracy, %")
    assert take_out(stream, [head]) == [] and [word.text for word in stream.words()] == ["row"]


def test_page_is_read_without_its_drawings_equations_and_furniture() -> None:
    page = (
        "<nav><li>1 Introduction</li></nav><p>Seen <svg><text>7</text></svg><a href='#ref-x'>Guo, 2017</a>.</p>"
        "<section class='web-only'><p>8</p></section><table><tr><td>cat</td><td>9</td></tr></table>"
    )
    seen, row = passages(page)
    assert "".join(piece.text for piece in seen.pieces) == "Seen Guo, 2017." and seen.pieces[1].role == "citation"
    assert "".join(piece.text for piece in row.pieces).split() == ["cat", "9"] and row.floats
