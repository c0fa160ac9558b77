"""Which model is recommended, and what is to be said against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analysis.results import Results
from analysis.statistics.contrasts import Contrast
from analysis.subjects.recommendation import (
    ENSEMBLE,
    NEXT,
    Choice,
    choices,
    recommendation_facts,
    recommendation_finding,
    recommendation_findings,
    untimed_twin,
)
from analysis.view import StudyView

TAUGHT, TWIN = "level5/student", "the untaught MobileNetV3-Small"


def judged(results: Results, p: float, difference: float, equivalence: float = 0.9) -> Results:
    """The study with another outcome of distillation, by three seeds."""
    each = results.judged[TAUGHT]
    comparison = replace(each.comparison, difference=difference, about="recipes")
    changed = replace(each, comparison=comparison, p=p, p_equivalence=equivalence)
    return replace(results, judged={**results.judged, TAUGHT: changed})


@pytest.mark.parametrize(
    ("p", "difference", "equivalence", "words"),
    [
        (0.5, 0.01, 0.9, "and whether the teacher helps is undecided."),
        (0.01, -0.01, 0.9, "and is more accurate."),
        (0.5, 0.0, 0.01, "and is as accurate for what matters."),
        (0.01, 0.01, 0.9, ""),
    ],
)
def test_a_distilled_model_is_recommended_with_what_its_untimed_twin_may_be_worth(
    results: Results, p: float, difference: float, equivalence: float, words: str
) -> None:
    told = untimed_twin(judged(results, p, difference, equivalence), "level5/int8-static")
    reached = f"{100 * results.accuracies['level5/student-alone'].mean:.2f} %"
    start = f"T{TWIN[1:]}, its equal in size and operations, was not timed; it reaches {reached}"
    assert told == (words and f"{start}, {words}")


def test_what_was_not_distilled_has_no_twin(results: Results) -> None:
    assert untimed_twin(results, "level3/se-head") == ""


def test_the_fastest_model_is_the_first_recommended(results: Results) -> None:
    (told,) = recommendation_findings(results)
    fastest = results.deployment.sort_values("p50_ms").iloc[0]
    assert told.sentence.startswith("Of the models timed, ") and f"{fastest.p50_ms:.2f} ms" in told.sentence


def test_of_equally_fast_models_validation_prefers_one(results: Results) -> None:
    frame = results.deployment.sort_values("p50_ms", ignore_index=True)
    told = {key: results.view.metric(key, "validation_accuracy") for key in frame["model"]}
    best = max(told, key=lambda key: told[key])
    others = [key for key in frame["model"] if key != best]
    frame["p50_ms"] = [1.04 if key == best else 1.0 if key == others[0] else 9.0 for key in frame["model"]]
    tied = replace(results, deployment=frame)
    first, *later = choices(tied)
    assert (first.key, first.peers) == (best, (others[0],)) and others[0] not in [each.key for each in later]
    (finding,) = recommendation_findings(tied)
    one, other = (results.view.phrase(key) for key in (best, others[0]))
    assert f"Of the models timed, {one} and {other} answer soonest, equally fast to within 5 %; " in finding.sentence
    facts = {fact.name: fact.value for fact in recommendation_facts(tied)}
    assert facts["recommendation/fast"] == 2 and facts["recommendation/fastest"] == one


def test_what_is_recommended_is_chosen_on_validation_images(results: Results) -> None:
    """Test accuracies in the order opposite to those of validation change nothing but what is told."""
    chosen = [choice.key for choice in choices(results)]
    turned = replace(results, deployment=results.deployment.assign(accuracy=range(len(results.deployment), 0, -1)))
    assert [choice.key for choice in choices(turned)] == chosen


def test_every_choice_is_compared_with_the_next_faster_one_and_the_ensemble_comes_last(results: Results) -> None:
    accuracy = {key: each.mean for key, each in results.accuracies.items()}
    first, *later = choices(results)
    assert len(later) > 1 and first.gain is None
    for before, choice in zip([first, *later], later, strict=False):
        assert choice.before == before.key and choice.gain is not None
        assert choice.gain.difference == pytest.approx(accuracy[choice.key] - accuracy[before.key])
    latency = results.deployment.set_index("model")["p50_ms"]
    *timed, last = [first, *later]
    assert last.budget == ENSEMBLE and latency[[each.key for each in timed]].is_monotonic_increasing


def test_a_choice_without_a_seed_in_common_with_the_one_before_is_passed_over(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, *_, last = choices(results)
    differences = StudyView.differences

    def without_second(view: StudyView, key: str, control: str) -> np.ndarray:
        return differences(view, key, control)[: 0 if second.key in (key, control) else None]

    monkeypatch.setattr(StudyView, "differences", without_second)
    kept = choices(results)
    assert second.key not in {choice.key for choice in kept} | {choice.before for choice in kept}
    assert kept[-1].key == last.key and all(choice.gain for choice in kept[1:])


@pytest.mark.parametrize(
    ("vote", "sign", "gained"),
    [("level4/soft-logits", 1, True), ("level3/multi-task-superclass", 0, True), ("level5/student", -1, False)],
)
def test_the_ensemble_is_recommended_only_where_its_gain_is_shown(
    results: Results, named: Callable, vote: str, sign: int, gained: bool
) -> None:
    assert results.ensemble is not None
    changed = replace(results, ensemble=replace(results.ensemble, best_vote=vote))
    gain = choices(changed)[-1].gain
    assert gain is not None and (gain.sign, gain.difference > 0) == (sign, gained)
    assert ("recommendation/ensemble" in named(recommendation_facts(changed))) == (sign > 0)


@pytest.mark.parametrize(
    ("difference", "p", "verdict", "words"),
    [
        (0.02, 0.01, "supported", "Where 5 ms can be afforded, the network with the SE head is more accurate than"),
        (-0.02, 0.01, "inconclusive", "At 5 ms, the network with the SE head is less accurate than"),
        (0.02, 0.5, "inconclusive", "At 5 ms, the network with the SE head is not shown to be more accurate than"),
    ],
)
def test_a_slower_model_is_recommended_only_where_it_is_more_accurate(
    results: Results, difference: float, p: float, verdict: str, words: str
) -> None:
    first = Choice("fastest", "level5/student-alone", "1 ms")
    slower = Choice(NEXT, "level3/se-head", "5 ms", Contrast(difference, -0.1, 0.1, p), first.key)
    told = recommendation_finding(results, [first, slower])
    assert told.verdict == verdict and words in told.sentence
