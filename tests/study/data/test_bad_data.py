"""Whatever is wrong with somebody's images is one line that says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from study.data import datasets
from study.description import read_description
from study.errors import StudyError
from study.experiment import Subset
from tests.study.data.albums import album, rows, split_album, table

Harm = Callable[[Path], "Path | None"]  # what is loaded, the root unless it says otherwise


def _several_unreadable(root: Path) -> None:
    for number in range(12):
        (album(root) / "cat" / f"bad{number:02}.png").write_bytes(b"no image")


def _truncated(root: Path) -> None:
    noisy = album(root) / "cat" / "000.png"
    noisy.write_bytes(noisy.read_bytes()[:60])


def _other_classes(root: Path) -> None:
    shutil.move(split_album(root) / "test" / "dog", root / "test" / "wolf")


def _empty_class(root: Path) -> None:
    (album(root) / "mouse").mkdir()


def _loop(root: Path) -> None:
    (album(root) / "cat" / "again").symlink_to(root, target_is_directory=True)


def _zip(root: Path) -> Path:
    return Path(shutil.make_archive(str(root), "zip", album(root)))


def _text(root: Path) -> Path:
    (root / "notes.md").write_text("x")
    return root / "notes.md"


def _csv(change: Callable[[list[str]], list[str]], header: str = "file,label") -> Harm:
    return lambda root: table(album(root), "\n".join([header, *change(rows(root))]))


def _wolf_in_test(lines: list[str]) -> list[str]:
    return [f"{line},train" for line in lines[:-1]] + [lines[-1].replace(",dog", ",wolf,test")]


def _nothing_but_tested(root: Path) -> None:
    split_album(root)
    shutil.rmtree(root / "train" / "dog")
    shutil.copytree(root / "test" / "dog", root / "train" / "dog")
    album(root / "test", {"dog": 6}, 300)


def _one_to_train_on(root: Path) -> None:
    album(root / "train", {"cat": 12, "dog": 1})
    album(root / "test", {"cat": 3, "dog": 12}, 100)


BAD: list[tuple[str, Harm, str]] = [
    ("absent folder", lambda root: root / "absent", "there is no folder or table .*absent; check the path"),
    ("archive", _zip, "is an archive; unpack it and name the folder"),
    ("other file", _text, "is neither a folder nor a table"),
    ("empty folder", lambda root: None, "holds no class; a study needs two or more"),
    ("one class", lambda root: album(root, {"cat": 12}) and None, "holds only the class cat"),
    ("few images", lambda root: album(root, {"cat": 12, "dog": 9}) and None, r"fewer than 10 images of dog \(9\)"),
    ("empty class", _empty_class, "has no image of mouse"),
    (
        "case",
        lambda root: album(root, {"Cat": 12, "cat": 12}) and None,
        "classes Cat and cat, which differ only in case",
    ),
    (
        "line break",
        lambda root: album(root, {"ca\nt": 12, "dog": 12}) and None,
        r"class name 'ca\\nt'; give it one without",
    ),
    (
        "unreadable",
        _several_unreadable,
        r"12 images cannot be read: .*bad00.png, .*bad09.png and 2 more; remove or replace",
    ),
    ("truncated", _truncated, "000.png cannot be read as an image: damaged"),
    ("different classes", _other_classes, "different classes in its splits: there is no image of wolf in train"),
    ("leaked", _nothing_but_tested, "leaves no image of dog for train; add images, other ones than the later"),
    ("one of a class", _one_to_train_on, "leaves no image of dog for train; add images"),
    (
        "too many fields",
        _csv(lambda lines: [f"{line},train" for line in lines]),
        "cannot be read as a table: Length of header",
    ),
    ("no training", lambda root: split_album(root, train="") and None, "has a folder test but none called train"),
    (
        "two validations",
        lambda root: split_album(split_album(root), validation="dev") and None,
        "several folders of one split: dev, val",
    ),
    (
        "mixed layouts",
        lambda root: album(split_album(root)) and None,
        r"folders of splits \(test, train, val\) beside others \(cat, dog\)",
    ),
    ("loop", _loop, "again is a link to a folder above it; remove the loop"),
    ("a column twice", _csv(lambda lines: lines, "file,label,Label"), "has the column label more than once"),
    ("no column", _csv(lambda lines: lines, "path,label"), "lacks the column file; its header must be file,label"),
    ("empty table", _csv(lambda lines: []), "has no line below its header"),
    ("outside", _csv(lambda lines: [*lines, "../secret.png,cat"]), r"outside its folder in line 28 \(../secret.png\)"),
    ("absolute", _csv(lambda lines: [*lines, "/etc/passwd,cat"]), r"outside its folder in line 28 \(/etc/passwd\)"),
    ("missing file", _csv(lambda lines: [*lines, "gone.png,cat"]), "names files that are not there: .*gone.png"),
    ("no label", _csv(lambda lines: [*lines[1:], lines[0].split(",")[0] + ", "]), "has no label in line 27"),
    ("twice", _csv(lambda lines: [*lines, lines[0]]), "names a file more than once: cat/000.png; keep one"),
    (
        "unknown split",
        _csv(lambda lines: [f"{line},later" for line in lines], "file,label,split"),
        r"no known split in line 2 \(later\)",
    ),
    (
        "unknown class",
        _csv(_wolf_in_test, "file,label,split"),
        "different classes in its splits: there is no image of wolf in train",
    ),
    ("not a table", _csv(lambda lines: ["a,b,c,d", "a"]), "cannot be read as a table|names files that are not there"),
]


@pytest.mark.parametrize(("harm", "message"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_data_are_one_clear_line(tmp_path: Path, harm: Harm, message: str) -> None:
    root = tmp_path / "album"
    root.mkdir()
    path = harm(root)
    with pytest.raises(StudyError, match=message) as raised:
        datasets.load(str(path if isinstance(path, Path) else root))
    assert "\n" not in str(raised.value)


def test_a_bad_file_that_the_subset_does_not_use_is_found_only_when_it_is_used(tmp_path: Path) -> None:
    root = album(tmp_path / "album", {"cat": 40, "dog": 40})
    whole = datasets.load(str(root), subset=Subset(16, 6, 10))
    used = {int(number) for split in ("train", "validation", "test") for number in whole.numbered(split)}
    spare = next(number for number in range(80) if number not in used)
    sorted(root.rglob("*.png"))[spare].write_bytes(b"no image")
    assert datasets.load(str(root), subset=Subset(16, 6, 10)).sizes == whole.sizes
    with pytest.raises(StudyError, match="cannot be read as an image"):
        datasets.load(str(root))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('{"colour": 1}', "unknown field 'colour'"),
        ('{"levels": {"1": {"pass_mark": "high"}}}', r"Expected `float \| null`, got `str`"),
        ('{"superclasses": {"pet": ["cat"], "wild": []}}', "'dog' is in none"),
        ('{"superclasses": {"pet": ["cat", "dog"], "wild": ["wolf"]}}', "'wolf' is no class of the data"),
        ('{"superclasses": {"pet": ["cat", "dog"], "wild": ["dog"]}}', "'dog' is there more than once"),
        ('{"superclasses": {"pet": ["cat", "dog"]}}', "there must be two or more that have classes"),
        ('{"superclasses": {"pet": ["cat", "dog"], "wild": []}}', "there must be two or more that have classes"),
        ('{"levels": {"1": {"pass_mark": 95}}}', "pass marks and accuracies are fractions, e.g. 0.94"),
        ('{"levels": {"1": {"reference": {"label": "x", "accuracy": 95}}}}', "pass marks and accuracies are fractions"),
        ('{"mean": [0.5, 0.5, 0.5]}', "mean and std are given together"),
        ('{"mean": [0.5, 0.5, 0.5], "std": [0, 0, 0]}', "std is above 0"),
        ('{"test_begins": -5}', "test_begins counts from 0"),
    ],
)
def test_a_description_that_cannot_be_used_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    root = album(tmp_path / "album")
    (root / "description.json").write_text(content)
    with pytest.raises(StudyError, match=message):
        datasets.load(str(root))


def test_an_absent_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no description .*none.json; name a JSON file"):
        read_description(tmp_path / "none.json")
