"""Properties that hold for whatever hypothesis thinks of: records, statistics, escaping."""

from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
from dataclasses import fields
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import typst
from hypothesis import example, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from pylatexenc.latex2text import LatexNodes2Text
from statsmodels.stats.multitest import multipletests

from analysis.statistics.comparison import holm
from report import escaping
from report.environment import ESCAPES
from study import files, records
from study.deployment.card import escape as markdown
from study.errors import StudyError, printable
from study.experiment import Experiment, from_data, to_data
from study.kinds import Quantization, Training, Vote
from study.metrics.calibration import expected_calibration_error, negative_log_likelihood, probabilities
from study.metrics.intervals import student, wilson
from study.metrics.uncertainty import aurc, entropy, mutual_information
from study.records import DataDescription, Level, Outcome, Plan, Spec

usual = settings(max_examples=25, deadline=None)
few = settings(max_examples=8, deadline=None)  # what writes files or compiles

text = some.text(max_size=30)
name = some.text(some.characters(whitelist_categories=("L", "N")), min_size=1, max_size=12)
digest = some.text("0123456789abcdef", min_size=64, max_size=64)
share = some.floats(0, 1)
some.register_type_strategy(float, some.floats(allow_nan=False, allow_infinity=False))


def _of(kind: type[Experiment]) -> some.SearchStrategy[Experiment]:
    """Any experiment of a kind, every field drawn from its type."""
    names = {each.name: name for each in fields(kind) if each.name == "name"}
    numbers = {"margin": share, "title": text, "differs": text, "group": text, "control": text}
    return some.builds(kind, **names, **numbers)


experiment = some.one_of(_of(Training), _of(Vote), _of(Quantization))
data = some.builds(
    DataDescription,
    name=name,
    title=text,
    fingerprint=digest,
    splits=digest,
    classes=some.lists(text, min_size=2, max_size=4).map(tuple),
    sizes=some.fixed_dictionaries({split: some.integers(1, 10**6) for split in ("train", "validation", "test")}),
)


@few
@given(experiment)
def test_experiments_are_what_their_data_say(given_one: Experiment) -> None:
    again = from_data(to_data(given_one))
    assert again == given_one
    assert [getattr(again, each.name) for each in fields(again)] == [getattr(given_one, e.name) for e in fields(again)]


@few
@given(experiment, some.integers(0, 2**31 - 1), some.dictionaries(name, digest, max_size=3))
def test_specs_survive_the_disk(given_one: Experiment, seed: int, upstream: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec = Spec(given_one, seed, "quick", "f" * 64, "s" * 64, upstream)
        records.write_spec(Path(folder), spec)
        assert records.read_spec(Path(folder)) == spec


@few
@given(some.lists(experiment, max_size=3).map(tuple), data, some.lists(some.integers(0, 99), max_size=3).map(tuple))
def test_plans_survive_the_disk(chosen: tuple[Experiment, ...], about: DataDescription, seeds: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan("s", "quick", "tests", seeds, "cpu", about, (Level(1, "transfer"),), chosen)
        records.write_plan(Path(folder), plan)
        assert records.read_plan(Path(folder)) == plan


metric = some.one_of(some.floats(allow_nan=False), some.integers(), text, some.lists(some.floats(0, 1), max_size=3))


@few
@given(some.dictionaries(text, metric, max_size=4), arrays(np.float32, (3, 2), elements=some.floats(-9, 9, width=32)))
def test_outcomes_survive_the_disk(metrics: dict[str, object], logits: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        records.write_spec(folder, Spec(Vote(level=1, name="v", rule="hard", members=()), 0, "q", "f", "s", {}))
        records.finish(folder, Outcome(dict(metrics), {"test_logits": logits}))
        run = records.load_run(folder)
        assert run.metrics == metrics and np.array_equal(run.arrays["test_logits"], logits)


@usual
@given(some.data())
def test_no_bit_of_a_record_flips_unseen(drawn: some.DataObject) -> None:
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        records.write_spec(folder, Spec(Vote(level=1, name="v", rule="hard", members=()), 0, "q", "f", "s", {}))
        records.finish(folder, Outcome({"test_accuracy": 0.5}, {"test_logits": np.eye(2)}))
        path = drawn.draw(some.sampled_from(sorted(folder.iterdir())))
        content = bytearray(path.read_bytes())
        content[drawn.draw(some.integers(0, len(content) - 1))] ^= 1 << drawn.draw(some.integers(0, 7))
        records.load_run(folder)
        path.write_bytes(content)
        with pytest.raises(StudyError):
            records.load_run(folder)


@few
@given(some.binary(max_size=200), text, some.integers(min_value=0))
def test_no_bit_of_a_sealed_file_flips_unseen(content: bytes, owner: str, where: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sealed"
        files.write_sealed(path, content, owner)
        assert files.read_sealed(path, owner) == content
        flipped = bytearray(path.read_bytes())
        flipped[where % len(flipped)] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(StudyError):
            files.read_sealed(path, owner)


@usual
@given(text)
def test_a_name_stays_in_its_folder_or_is_refused(given_one: str) -> None:
    folder = Path("/runs/study")
    try:
        inside = files.inside(folder, given_one)
    except StudyError:
        return
    assert inside.resolve().parent == folder and inside.name == given_one


p_values = some.lists(share, min_size=1, max_size=12)


@usual
@given(p_values)
def test_holm_is_statsmodels_and_knows_no_order(p: list[float]) -> None:
    adjusted = holm(p)
    np.testing.assert_allclose(adjusted, multipletests(p, method="holm")[1])
    np.testing.assert_allclose(holm(p[::-1]), adjusted[::-1])
    assert np.all(adjusted >= np.array(p) - 1e-12) and np.all(adjusted <= 1)


@usual
@given(some.integers(1, 10_000).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n))), share)
def test_wilson_contains_the_proportion_and_mirrors(counts: tuple[int, int], level: float) -> None:
    correct, total = counts
    level = 0.5 + 0.49 * level
    found, mirrored = wilson(correct, total, level), wilson(total - correct, total, level)
    assert 0 <= found.low <= correct / total + 1e-12 and correct / total - 1e-12 <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)


@usual
@given(some.lists(some.floats(-1, 1), min_size=2, max_size=8), some.floats(-3, 3), some.floats(0.1, 10))
def test_students_interval_contains_the_mean_and_moves_with_the_values(v: list[float], by: float, times: float) -> None:
    found, moved = student(v), student([times * value + by for value in v])
    assert found.low <= np.mean(v) + 1e-12 and np.mean(v) - 1e-12 <= found.high
    assert (moved.low, moved.high) == pytest.approx((times * found.low + by, times * found.high + by), abs=1e-6)


logits = arrays(np.float64, some.tuples(some.integers(2, 30), some.integers(2, 5)), elements=some.floats(-8, 8))


@usual
@given(logits, some.integers(0, 2**32 - 1), some.floats(0.2, 5))
def test_calibration_knows_no_order_of_images_and_no_shift_of_logits(z: np.ndarray, seed: int, t: float) -> None:
    rng = np.random.default_rng(seed)
    labels, order = rng.integers(0, z.shape[1], len(z)), rng.permutation(len(z))
    probs = probabilities(z, t)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities(z + 3.0, t), probs, atol=1e-12)
    for score in (expected_calibration_error, lambda *of: negative_log_likelihood(*of).mean()):
        assert score(probs, labels) >= 0
        assert score(probs[order], labels[order]) == pytest.approx(score(probs, labels), abs=1e-9)


@usual
@given(arrays(np.float64, (3, 6, 4), elements=some.floats(-8, 8)))
def test_members_that_agree_know_nothing_of_each_other(z: np.ndarray) -> None:
    members = probabilities(z.reshape(-1, 4)).reshape(z.shape)
    found = mutual_information(members)
    assert np.all(found >= -1e-9) and np.all(found <= np.log(3) + 1e-9)
    same = np.repeat(members[:1], 3, axis=0)
    np.testing.assert_allclose(mutual_information(same), 0, atol=1e-9)
    assert np.all(entropy(members[0]) <= np.log(4) + 1e-9)


@usual
@given(some.lists(some.tuples(some.integers(0, 50), some.booleans()), min_size=2, max_size=40))
def test_ranks_alone_decide_on_uncertainties(pairs: list[tuple[int, bool]]) -> None:
    scores, correct = np.array([s for s, _ in pairs], dtype=float), np.array([c for _, c in pairs])
    assert aurc(np.exp(scores / 10), correct) == pytest.approx(aurc(scores, correct))


printed = some.text(some.characters(blacklist_categories=("Cs", "Cc")), max_size=40)


class _Text(HTMLParser):
    """The text of a page, its elements, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.attributes = "", list[str](), list[tuple[str, str | None]]()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@usual
@example('" onmouseover="alert(1)')
@given(printed)
def test_any_text_prints_as_itself_in_html(given_one: str) -> None:
    for before, after in (("<p>", "</p>"), ('<p title="', '">x</p>')):
        page = _Text()
        page.feed(before + str(ESCAPES["html"](given_one)) + after)
        page.close()
        assert page.tags == ["p"]
        assert (page.text if before == "<p>" else dict(page.attributes)["title"]) == given_one
        assert len(page.attributes) == (before != "<p>")


@few
@given(printed)
def test_any_text_compiles_in_typst_and_is_no_code(given_one: str) -> None:
    markup, string = escaping.typst(given_one), escaping.typst_string(given_one)
    source = f"#let f(body) = {{ assert(type(body) == content); body }}\n#f[{markup}]\n#assert(type({string}) == str)"
    assert typst.compile(source.encode()).startswith(b"%PDF")


@usual
@given(printed)
def test_no_text_is_a_command_in_latex(given_one: str) -> None:
    escaped = str(escaping.latex(given_one))
    assert not re.search(r"\\(?:input|include|write|openin|openout|immediate|def|csname|catcode)(?![A-Za-z])", escaped)
    bare = re.sub(r"\\[#$%&_{}]", "", escaped)
    assert not re.search(r"[#%&]", bare)
    depths = list(accumulate({"{": 1, "}": -1}.get(character, 0) for character in bare))
    assert min(depths, default=0) == 0 and depths[-1:] in ([], [0]), "braces that are not printed are in pairs"


@usual
@given(some.text(some.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_ascii_reads_back_from_latex(given_one: str) -> None:
    """But for quotes, whose commands the reader does not know, so that they are looked up here."""
    source = str(escaping.latex(given_one))
    for quote, command in (("'", "textquotesingle"), ('"', "textquotedbl"), ("`", "textasciigrave")):
        source = source.replace(f"\\{command}{{}}", chr(0xE000 + ord(quote)))
    plain = LatexNodes2Text(keep_comments=False).latex_to_text(source)
    same = str.maketrans({"ˆ": "^", "˜": "~", "−": "-"} | {chr(0xE000 + ord(quote)): quote for quote in "'\"`"})
    assert re.sub(r"\s", "", plain.translate(same)) == re.sub(r"\s", "", given_one)


@usual
@given(some.text(max_size=40))
def test_printed_names_are_one_line_that_steers_no_terminal(given_one: str) -> None:
    assert all(character.isprintable() for character in printable(given_one))
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in escaping.plain(given_one))
    assert not set(markdown(given_one)) & set("<>[]*_`|\n")


@pytest.mark.needs_tex
@settings(max_examples=5, deadline=None)
@given(some.lists(printed, min_size=5, max_size=20))
def test_any_text_compiles_in_latex(lines: list[str]) -> None:
    from report import pdf

    assert shutil.which("latexmk")
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp,amssymb}"
    body = "\n\n".join(str(escaping.latex(line)) for line in lines)
    source = f"{head}\n\\begin{{document}}x {body}\n\\end{{document}}\n"
    assert pdf.by_latex({"main.tex": source.encode()}).startswith(b"%PDF")
