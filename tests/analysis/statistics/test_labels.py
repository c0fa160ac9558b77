import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.labels import LabelAudit, audited_errors, human_agreement
from study.errors import StudyError


def audit_file(folder: Path, given_votes: dict[int, int]) -> Path:
    path = folder / "audit.json"
    entries = [
        {"id": image, "mturk": {"given": given, "guessed": 5 - given, "neither": 0, "both": 0}}
        for image, given in given_votes.items()
    ]
    path.write_text(json.dumps(entries))
    return path


def test_errors_are_counted_by_what_the_crowd_said(tmp_path: Path) -> None:
    audit = audit_file(tmp_path, {3: 5, 10: 3, 20: 2, 30: 0})
    expected = LabelAudit(tested=10_000, wrong=4, suspected=4, faulty=2, wrong_suspected=3, wrong_faulty=1)
    assert audited_errors(audit, np.array([3, 10, 20, 99])) == expected


def test_only_tested_images_are_counted(tmp_path: Path) -> None:
    audit = audit_file(tmp_path, {3: 5, 10: 3, 20: 2, 30: 0})
    counts = audited_errors(audit, np.array([20]), tested=np.array([3, 20, 21]))
    assert counts == LabelAudit(tested=3, wrong=1, suspected=2, faulty=1, wrong_suspected=1, wrong_faulty=1)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": 3}]', '[{"id": "x", "mturk": {"given": 1}}]', "7"])
def test_a_damaged_audit_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"audit\.json"):
        audited_errors(path, np.array([1]))


def test_a_missing_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read"):
        audited_errors(tmp_path / "none.json", np.array([1]))


def test_predicting_what_people_say_reaches_the_lower_bound() -> None:
    counts = np.array([[9, 1, 0], [5, 0, 5], [0, 10, 0]])
    agreement = human_agreement(counts, counts / 10)
    assert agreement.cross_entropy == pytest.approx(agreement.human_entropy)
    assert agreement.human_entropy == pytest.approx(stats.entropy(counts.T).mean())
    assert agreement.entropy_correlation == pytest.approx(1)
    assert (agreement.same_choice, agreement.images) == (1, 3)


def test_cross_entropy_exceeds_the_bound_by_the_divergence() -> None:
    rng = np.random.default_rng(0)
    counts, probs = rng.multinomial(50, [0.7, 0.2, 0.1], size=30), rng.dirichlet(np.ones(3), size=30)
    agreement = human_agreement(counts, probs)
    divergence = stats.entropy(counts.T, probs.T).mean()
    assert agreement.cross_entropy - agreement.human_entropy == pytest.approx(divergence)


def test_choices_agree_where_the_model_names_a_class_most_people_chose() -> None:
    counts = np.array([[9, 1], [5, 5], [2, 8], [2, 8]])
    probs = np.array([[0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.3, 0.7]])
    assert human_agreement(counts, probs).same_choice == pytest.approx(3 / 4)


def test_people_who_never_hesitate_leave_the_correlation_open() -> None:
    agreement = human_agreement(np.array([[9, 0], [0, 9]]), np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert np.isnan(agreement.entropy_correlation)


def test_counts_of_other_images_are_refused() -> None:
    with pytest.raises(StudyError, match="do not match"):
        human_agreement(np.ones((3, 10)), np.ones((2, 10)) / 10)
