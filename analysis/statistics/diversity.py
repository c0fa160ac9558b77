"""How differently the members of an ensemble err; formulas of Kuncheva & Whitaker 2003.

https://doi.org/10.1023/A:1022859003006. A ratio without a single image to stand on is NaN.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

PAIR_COLUMNS = ("a", "b", "disagreement", "double_fault", "q_statistic", "kappa", "error_jaccard")


def pairwise(correct: Mapping[str, np.ndarray], predicted: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per pair of members; ``correct`` (N,) bool and ``predicted`` (N,) classes by member.

    Columns: a, b, disagreement (fraction of images that exactly one has right), double_fault
    (fraction both have wrong), q_statistic in [-1, 1], kappa (Cohen's, of the predicted classes,
    in [-1, 1]) and error_jaccard (errors shared / errors of either, in [0, 1]).
    """
    hits = {member: np.asarray(values, dtype=bool) for member, values in correct.items()}
    rows = [
        {"a": a, "b": b, **_pair(hits[a], hits[b]), "kappa": cohen_kappa(predicted[a], predicted[b])}
        for a, b in combinations(hits, 2)
    ]
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Agreement of two predictions (N,) beyond chance; NaN when both name one class only.

    Cohen 1960, https://doi.org/10.1177/001316446002000104
    """
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(a, b)) if len(np.union1d(a, b)) > 1 else math.nan


def oracle_accuracy(correct: Mapping[str, np.ndarray]) -> float:
    """Fraction of images that at least one member has right: the bound for any choice among members."""
    return float(np.any(list(correct.values()), axis=0).mean())


def fixed_and_broken(ensemble_correct: np.ndarray, best_correct: np.ndarray) -> tuple[int, int]:
    """Errors of the best member that the ensemble puts right, and new errors it makes; both (N,) bool."""
    ensemble, best = np.asarray(ensemble_correct, dtype=bool), np.asarray(best_correct, dtype=bool)
    return int((ensemble & ~best).sum()), int((best & ~ensemble).sum())


def error_overlap(correct: Mapping[str, np.ndarray]) -> pd.Series:
    """How many images exactly these members have wrong, most first; indexed by tuples of members.

    Images that every member has right are left out, as are combinations that never occur.
    """
    members = list(correct)
    wrong = ~np.stack([np.asarray(correct[member], dtype=bool) for member in members], axis=1)
    counts = Counter(tuple(m for m, is_wrong in zip(members, row, strict=True) if is_wrong) for row in wrong)
    counts.pop((), None)
    ordered = counts.most_common()
    index = pd.Index([names for names, _ in ordered], tupleize_cols=False, dtype=object)
    return pd.Series([count for _, count in ordered], index=index, dtype=int, name="images")


def _pair(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """The measures that need only the correctness (N,) of two members."""
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    return {
        "disagreement": _ratio(only_a + only_b, len(a)),
        "double_fault": _ratio(neither, len(a)),
        "q_statistic": _ratio(both * neither - only_a * only_b, both * neither + only_a * only_b),
        "error_jaccard": _ratio(neither, neither + only_a + only_b),
    }


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
