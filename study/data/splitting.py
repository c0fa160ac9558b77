"""How images are split: stratified, seeded by a constant of the protocol, and so the same for every study and seed."""

from __future__ import annotations

import numpy as np

from study.data.listing import SPLITS

SPLIT_SEED = 2009
TESTED = 6  # one image in so many is for testing where the source says nothing of it


def drawn(labels: np.ndarray, given: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Indices per split, and in words how the splits came about.

    ``given`` (N,) is the split of each image in its source, "" where it says nothing of it. What the source does not
    split is cut here: a stratified sixth for testing, then a stratified fifth of what is left of the training images
    for validation.
    """
    parts = {name: np.flatnonzero(given == name) for name in SPLITS}
    pool, words, classes = np.flatnonzero((given == "train") | (given == "")), list[str](), labels.max() + 1
    if not len(parts["test"]):
        parts["test"] = stratified(pool, labels, max(len(pool) // TESTED, classes))
        pool = np.setdiff1d(pool, parts["test"])
        words.append("a stratified sixth of the images for testing")
    if not len(parts["validation"]):
        parts["validation"] = stratified(pool, labels, max(len(pool) // 5, classes))
        pool = np.setdiff1d(pool, parts["validation"])
        words.append(f"a stratified fifth of the {'remaining' if words else 'training'} images for validation")
    kept = "the source’s own splits" if not words else "" if len(words) == 2 else "the source’s own test images"
    if words and (given == "validation").any():
        kept = "the source’s own validation images"
    return parts | {"train": pool}, ", and ".join(filter(None, [kept, *words]))


def stratified(indices: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """A stratified sample of ``count`` of the indices, sorted, the same every time; ``labels`` (N,) of all images.

    Every class is in it, where there is room for all.
    """
    from sklearn.model_selection import train_test_split

    if count >= len(indices):
        return np.sort(indices)
    classes, sizes = np.unique(labels[indices], return_counts=True)
    if sizes.min() >= 2 and min(count, len(indices) - count) >= len(classes):
        chosen, rest = train_test_split(indices, train_size=count, stratify=labels[indices], random_state=SPLIT_SEED)
    else:  # what the library refuses: a class of one image, or hardly more images than classes
        shuffled = np.random.default_rng(SPLIT_SEED).permutation(indices)
        chosen, rest = shuffled[:count], shuffled[count:]
    return np.sort(_with_every_class(chosen, rest, labels))


def _with_every_class(chosen: np.ndarray, rest: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Put an image of each class that the draw missed in the place of one of the class drawn most often."""
    chosen = chosen.copy()
    for label in np.setdiff1d(labels[rest], labels[chosen]):
        classes, sizes = np.unique(labels[chosen], return_counts=True)
        if sizes.max() > 1:
            chosen[np.flatnonzero(labels[chosen] == classes[sizes.argmax()])[-1]] = rest[labels[rest] == label][0]
    return chosen
