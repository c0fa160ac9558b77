"""A folder of images: PATH/<class>/*, or PATH/<split>/<class>/* with the splits' usual names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from study.data.listing import SPLITS, Listing, some, split_of
from study.data.pixels import is_image_name, opened
from study.data.sources import digest_of, short_name
from study.description import FILE, Description, read_description
from study.errors import StudyError, printable

IGNORED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", FILE})


def load(root: Path) -> Listing:
    """The images below ``root`` by class. StudyError for a layout that could be read in two ways."""
    splits = _splits(root)
    files: list[tuple[str, str, Path]] = []  # split, class, image
    left, classes = Counter[str](), set[str]()
    for split, folder in splits.items():
        for path in _visible(folder):
            if not path.is_dir():
                left["outside any class folder"] += 1
                continue
            classes.add(path.name)
            for file in _below(path, (os.path.realpath(path),)):
                if is_image_name(file.name):
                    files.append((split, path.name, file))
                else:
                    left["no image by its name"] += 1
    return listing_of(root, root, files, sorted(classes), _remarks(left))


def listing_of(
    path: Path, folder: Path, files: list[tuple[str, str, Path]], classes: list[str], remarks: tuple[str, ...]
) -> Listing:
    """Images given as (split, class, file), in the order of their files."""
    number = {name: position for position, name in enumerate(classes)}
    files = sorted(files, key=lambda each: str(each[2]))
    paths = [file for _, _, file in files]
    beside = folder / FILE
    return Listing(
        name=short_name(str(path)),
        title=path.resolve().name if path.is_dir() else path.stem,
        source=str(path),
        folder=str(folder.resolve()),
        stamp=digest_of(paths, [(split, label) for split, label, _ in files]),
        open=partial(_open, paths),
        names=[str(file) for file in paths],
        labels=np.array([number[label] for _, label, _ in files], dtype=np.int64),
        split=np.array([split for split, _, _ in files], dtype="<U10"),
        classes=tuple(classes),
        remarks=remarks,
        description=read_description(beside) if beside.is_file() else Description(),
    )


def _open(paths: list[Path], number: int) -> Image.Image:
    return opened(paths[number])


def _splits(root: Path) -> dict[str, Path]:
    """The folder of each split; the root itself, for all, where no folder in it is called like a split."""
    folders = [path for path in _visible(root) if path.is_dir()]
    named = [(split, path) for path in folders if (split := split_of(path.name))]
    if not named:
        return {"": root}
    where = printable(str(root))
    if others := [path.name for path in folders if not split_of(path.name)]:
        raise StudyError(
            f"{where} has folders of splits ({some([path.name for _, path in named])}) beside others ({some(others)}); "
            "put the class folders into the splits"
        )
    for split in SPLITS:
        if len(same := [path.name for other, path in named if other == split]) > 1:
            raise StudyError(f"{where} has several folders of one split: {some(same)}; keep one")
    if "train" not in dict(named):
        raise StudyError(f"{where} has a folder {named[0][1].name} but none called train; add the training images")
    return dict(named)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in IGNORED)


def _below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Every visible file below a folder. StudyError for a link that leads back to a folder above it."""
    for path in _visible(folder):
        if not path.is_dir():
            yield path
        elif (real := os.path.realpath(path)) in above or any(other.startswith(real + os.sep) for other in above):
            raise StudyError(f"{printable(str(path))} is a link to a folder above it; remove the loop")
        else:
            yield from _below(path, (*above, real))


def _remarks(left: Counter[str]) -> tuple[str, ...]:
    """What was left out, as sentences without a full stop."""
    return tuple(f"{count} {'file' if count == 1 else 'files'} left out: {why}" for why, count in sorted(left.items()))
