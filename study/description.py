"""What is known of a dataset: what its images are, and beyond them one JSON file, optional in every part.

``study/data/descriptions/`` holds those that come with this package; users put theirs beside the images as
``description.json``, or name it with --description.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from study.errors import StudyError, printable
from study.experiment import structured
from study.files import read_json

Channels = tuple[float, float, float]
FILE = "description.json"


@dataclass(frozen=True)
class Reference:
    """What was published for a level."""

    label: str
    accuracy: float
    latency_ms: float | None = None


@dataclass(frozen=True)
class Target:
    """What is asked of a level on these data, and what was published."""

    pass_mark: float | None = None
    reference: Reference | None = None


@dataclass(frozen=True)
class Description:
    """Knowledge of a dataset; what is not given is left out of study and paper.

    ``images`` says what they are ("colour photographs"), ``citation`` is a key of templates/references.bib, ``cut`` how
    the splits came about; ``note``, ``licence``, ``limits``, ``challenge`` (who asks for the pass marks) and
    ``published`` (where the reference figures are from) are sentences for the paper. ``superclasses`` maps the name
    of each coarse class to its classes. ``human_labels`` and ``label_audit`` are files beside the data about the
    test images in the source's own order, in which they begin at ``test_begins``. ``mean`` and ``std`` of the
    training pixels in [0, 1] are measured where they are not given. ``notice`` accompanies stand-in data. Images
    that are not ``printable`` are shown in no figure. Without ``flip`` a mirror image may be of another class, as of an
    arrow or a digit, and networks see none.
    """

    title: str = ""
    images: str = ""
    citation: str = ""
    cut: str = ""
    note: str = ""
    licence: str = ""
    limits: str = ""
    challenge: str = ""
    published: str = ""
    superclasses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    levels: dict[int, Target] = field(default_factory=dict)
    human_labels: str = ""
    label_audit: str = ""
    test_begins: int = 0
    mean: Channels | None = None
    std: Channels | None = None
    notice: str = ""
    printable: bool = True
    flip: bool = True

    def coarse(self, classes: Sequence[str]) -> tuple[int, ...]:
        """Number of the super-class of each class, in the order in which classes meet them; empty where there are none.

        StudyError unless there are two or more, and every class is in one and only one.
        """
        if not self.superclasses:
            return ()
        if problem := self._misfit(classes):
            raise StudyError(f"the super-classes in the description do not cover the classes: {problem}")
        of = {name: coarse for coarse, members in self.superclasses.items() for name in members}
        met = list(dict.fromkeys(of[name] for name in classes))
        return tuple(met.index(of[name]) for name in classes)

    def _misfit(self, classes: Sequence[str]) -> str:
        """What is wrong with the super-classes of these classes; empty where nothing is."""
        listed = Counter(name for members in self.superclasses.values() for name in members)
        faults = {
            "is in none": {*classes} - {*listed},
            "is no class of the data": {*listed} - {*classes},
            "is there more than once": {name for name, times in listed.items() if times > 1},
        }
        for fault, names in faults.items():
            if names:
                return f"{printable(min(names))!r} {fault}"
        return "" if sum(map(bool, self.superclasses.values())) > 1 else "there must be two or more that have classes"


@dataclass(frozen=True)
class Level:
    """A level of the study: its number, what it is about, and what is asked of it on these data.

    A level that is a ``step`` tries to be more accurate than the one before.
    """

    number: int
    title: str
    pass_mark: float | None = None
    reference: Reference | None = None
    step: bool = False

    def on(self, target: Target) -> Level:
        """The level with what is asked of it on some data."""
        return replace(self, pass_mark=target.pass_mark, reference=target.reference)


@dataclass(frozen=True)
class DataDescription:
    """What a study's images are.

    ``fingerprint`` is the SHA-256 of all pixels and labels, ``splits`` that of the splits' indices, ``ood`` that of the
    out-of-distribution images (empty where there are none). ``sizes`` counts the images per split, ``notice`` is the
    sentence that must accompany stand-in data, and ``stamp`` changes whenever the files in ``folder`` do. ``ood_from``
    and ``described_by`` are what --ood and --description named, ``source`` what --dataset takes to find these again.
    ``counts`` are the images per split and class, ``dimensions`` width and height of the smallest and of
    the largest image as found, ``cut`` says how the splits came about, ``remarks`` what was left out, and
    ``description`` what else is known of them.
    """

    name: str
    title: str
    fingerprint: str
    splits: str
    classes: tuple[str, ...]
    sizes: dict[str, int]
    notice: str = ""
    image_size: int = 32
    folder: str = ""
    subset: bool = False
    ood: str = ""
    stamp: str = ""
    ood_from: str = ""
    source: str = ""
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dimensions: tuple[int, int, int, int] = (32, 32, 32, 32)
    cut: str = ""
    remarks: tuple[str, ...] = ()
    description: Description = field(default_factory=Description)
    described_by: str = ""

    @property
    def stand_in(self) -> bool:
        """Whether the images stand in for those that the study is about."""
        return bool(self.notice)


def read_description(path: Path) -> Description:
    """The description in a JSON file. StudyError names what is missing, unknown, of another type or senseless in it."""
    if not path.is_file():
        raise StudyError(f"there is no description {printable(str(path))}; name a JSON file with --description")
    try:
        found = structured(read_json(path), Description)
        if problem := _senseless(found):
            raise StudyError(problem)
        return found
    except StudyError as error:
        raise StudyError(f"the description {printable(str(path))} cannot be used: {error}") from error


def _senseless(description: Description) -> str:
    """Which value of a description cannot be meant; empty where all can."""
    targets = description.levels.values()
    accuracies = [target.pass_mark for target in targets if target.pass_mark is not None]
    accuracies += [target.reference.accuracy for target in targets if target.reference]
    if not all(0 <= accuracy <= 1 for accuracy in accuracies):
        return "pass marks and accuracies are fractions, e.g. 0.94"
    if (description.mean is None) != (description.std is None):
        return "mean and std are given together, or measured"
    if description.mean and description.std:
        if not all(0 <= mean <= 1 for mean in description.mean) or not all(0 < std <= 1 for std in description.std):
            return "mean and std are those of pixels from 0 to 1, and std is above 0"
    return "" if description.test_begins >= 0 else "test_begins counts from 0"
