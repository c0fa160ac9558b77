"""What a teacher passes on beside accuracy: its answers, its errors and its calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from analysis import formats
from analysis.captions import TOO_FEW, evidence
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics import influence
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import FEWEST
from analysis.view import StudyView
from study.kinds import Training
from study.metrics.calibration import probabilities
from study.records import Run

AGREEMENT, ERRORS, CALIBRATION = "agreement", "shared-errors", "calibration"


@dataclass(frozen=True)
class PassedOn:
    """A student beside its untaught twin: what each shares with the teacher, as fractions, and how the two differ.

    ``agreement``: images with the teacher's answer; ``shared-errors``: of the images that the teacher has wrong, those
    with the same wrong answer; ``calibration``: the calibration error. Differences are one family over all students.
    """

    key: str
    control: str
    taught: dict[str, float]
    untaught: dict[str, float]
    differences: dict[str, Contrast]


@dataclass(frozen=True)
class Lesson:
    """Three runs of one seed: a student, its untaught twin, and the teacher whose answers the student learned from."""

    student: Run
    twin: Run
    teacher: Run


def lessons(view: StudyView) -> dict[tuple[str, str], list[Lesson]]:
    """Lessons of every student of a single teacher, by its key and its twin's; with another seed another may teach."""
    found: dict[tuple[str, str], list[Lesson]] = {}
    for student in view.of_kind(Training):
        if student.distillation and len(student.distillation.answers) == 1:
            keys = (student.key, student.control, student.distillation.answers[0])
            for seed in view.seeds_of(*keys):
                taught, twin, answers = (view.runs[key][seed] for key in keys)
                teacher = view.runs.get(answers.metrics["teacher"], {}).get(seed)
                if teacher and taught.predicts() and twin.predicts() and teacher.predicts():
                    found.setdefault(keys[:2], []).append(Lesson(taught, twin, teacher))
    return found


@dataclass(frozen=True)
class Start:
    """Where an untaught twin stands: its test accuracy, and its accuracy on its training images, as fractions."""

    phrase: str
    accuracy: float
    fitted: float


@findings
def start_findings(results: Results) -> Iterator[Finding]:
    """What there is to pass on."""
    view, known = results.view, results.accuracies
    if taught := lessons(view):
        teachers = [lesson.teacher for lesson in next(iter(taught.values()))]
        twins = [twin for _, twin in taught]
        starts = [Start(view.phrase(key), known[key].mean, view.metric(key, "train_accuracy")) for key in twins]
        keys = list(dict.fromkeys(run.key for run in teachers))
        reached, fitted = (mean(run.metrics[name] for run in teachers) for name in ("test_accuracy", "train_accuracy"))
        named = tuple(f"accuracy/{key}" for key in (*keys, *twins))
        yield start_finding(reached, fitted, starts, named, len(keys))


def start_finding(
    teacher: float, fitted: float, twins: Sequence[Start], named: tuple[str, ...], teachers: int = 1
) -> Finding:
    """Where twins stand beside their teacher, whose accuracies on test and on training images come first.

    They are means over seeds, which may have several ``teachers``.
    Contradicted where a twin is no less accurate than the teacher or, with less than half of its accuracy on training
    images, has hardly learned; these are numbers, no tests.
    """
    reached = [f"{each.phrase} {formats.percent(each.accuracy)} %" for each in twins]
    who, reach, be = ("teacher", "reaches", "is") if teachers == 1 else ("teachers", "reach on average", "are")
    words = [f"On test images the {who} {reach} {formats.listing([f'{formats.percent(teacher)} %', *reached])}."]
    unlearnt = [each for each in twins if each.fitted < fitted / 2]
    if ahead := [each.phrase for each in twins if each not in unlearnt and each.accuracy >= teacher]:
        words.append(f"The {who} {be} no more accurate there than {formats.listing(ahead)}.")
    for each in unlearnt:
        words.append(
            f"{formats.sentence_case(each.phrase)} is right on only {formats.percent(each.fitted)} % of its training "
            "images: it has hardly learned, and its comparisons say little about longer training."
        )
    verdict: Verdict = "contradicted" if unlearnt or ahead else "supported"
    return Finding("distillation/start", " ".join(words), verdict, named)


def passed_on(results: Results) -> list[PassedOn]:
    """Every student of a single teacher, with its twin."""
    measured = {pair: _measured(each) for pair, each in lessons(results.view).items()}
    changes = {
        (pair, name): taught - untaught for pair, each in measured.items() for name, (taught, untaught) in each.items()
    }
    family = contrasts(changes, {(pair, name): (name, pair) for pair, name in changes})
    return [
        PassedOn(
            *pair,
            {name: float(taught.mean()) for name, (taught, _) in each.items()},
            {name: float(untaught.mean()) for name, (_, untaught) in each.items()},
            {name: family[pair, name] for name in each},
        )
        for pair, each in measured.items()
    ]


def _measured(taught: Sequence[Lesson]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of student and twin, contributions (S, N) whose means are the three measures.

    Errors are not shared where a teacher makes fewer than ``FEWEST``.
    """
    runs = zip(*((lesson.student, lesson.twin, lesson.teacher) for lesson in taught), strict=True)
    students, twins, teachers = ([run.predictions("test") for run in each] for each in runs)
    wrong = np.stack([~teacher.correct for teacher in teachers])
    both = []
    for networks in (students, twins):
        same = np.stack([a.predicted == b.predicted for a, b in zip(networks, teachers, strict=True)]).astype(float)
        gaps = np.stack([influence.of_ece(probabilities(p.logits), p.labels) for p in networks])
        measures = {AGREEMENT: same, CALIBRATION: gaps}
        if wrong.sum(axis=1).min() >= FEWEST:
            measures[ERRORS] = influence.of_ratio(same, wrong)
        both.append(measures)
    return {name: (values, both[1][name]) for name, values in both[0].items()}


@facts
def passed_on_facts(results: Results) -> Iterator[Fact]:
    """Each measure of student and twin."""
    taught = lessons(results.view)
    for each in passed_on(results):
        trios = zip(
            *((r.name for r in vars(lesson).values()) for lesson in taught[each.key, each.control]), strict=True
        )
        made = Origin(passed_on, tuple(name for names in trios for name in names))
        for name in each.differences:
            yield made.percent(f"passed-on/{each.key}/{name}", each.taught[name])
            yield made.percent(f"not-passed-on/{each.key}/{name}", each.untaught[name])


@findings
def passed_on_findings(results: Results) -> Iterator[Finding]:
    """What each student has from its teacher."""
    for each in passed_on(results):
        yield passed_on_finding(each, results.view.phrase(each.key), results.view.phrase(each.control))


def passed_on_finding(each: PassedOn, taught: str, untaught: str) -> Finding:
    """Supported where the student repeats more of its teacher's errors than its twin does, contradicted where fewer.

    Agreement decides nothing, as more accurate networks agree more often in any case. Inconclusive with too few seeds.
    """
    closer = each.differences[AGREEMENT].differs
    verb = {1: "more often than", -1: "less often than", 0: "not detectably more often than"}[closer]
    words = [
        f"{formats.sentence_case(taught)} gives its teacher’s answer {verb} {untaught} ({_numbers(each, AGREEMENT)})"
    ]
    if ERRORS in each.differences:
        also = {1: "it repeats more of the teacher’s errors", -1: "it repeats fewer of the teacher’s errors"}
        told = also.get(each.differences[ERRORS].differs, "it does not repeat detectably more of the teacher’s errors")
        words.append(f"{told} ({_numbers(each, ERRORS)})")
    else:
        words.append("its teacher makes too few errors to test whether it repeats them")
    better = {1: "its calibration error is larger", -1: "its calibration error is smaller"}
    told = better.get(each.differences[CALIBRATION].differs, "its calibration error is not detectably different")
    words.append(f"{told} ({_numbers(each, CALIBRATION)})")
    repeats = each.differences[ERRORS].sign if ERRORS in each.differences else 0
    verdict: Verdict = {1: "supported", -1: "contradicted"}.get(repeats, "inconclusive")  # type: ignore[assignment]
    if any(change.differs and not change.decidable for change in each.differences.values()):
        words.append(TOO_FEW)
    named = tuple(f"{side}/{each.key}/{name}" for name in each.differences for side in ("passed-on", "not-passed-on"))
    return Finding(f"passed-on/{each.key}", f"{'; '.join(words)}.", verdict, named)


def _numbers(each: PassedOn, name: str) -> str:
    sides = f"{formats.percent(each.taught[name])} % against {formats.percent(each.untaught[name])} %"
    return f"{sides}; {evidence(each.differences[name])}"
