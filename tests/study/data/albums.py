"""Small folders of images to be read, each with a colour of its own so that no two images are the same."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

COUNTS = {"cat": 14, "dog": 12}


def picture(path: Path, number: int, size: tuple[int, int] = (20, 16)) -> Path:
    """Save an image of the colour with that number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number % 256, number // 256, 7)).save(path)
    return path


def album(root: Path, counts: dict[str, int] | None = None, first: int = 0) -> Path:
    """``root/<class>/<number>.png``."""
    for label, count in (COUNTS if counts is None else counts).items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            picture(root / label / f"{number:03}.png", number)
        first += count
    return root


def split_album(root: Path, train: str = "train", validation: str = "val", test: str = "test") -> Path:
    """``root/<split>/<class>/<number>.png``, an empty name leaving a split out."""
    for position, (name, count) in enumerate(((train, 12), (validation, 3), (test, 4))):
        if name:
            album(root / name, {"cat": count, "dog": count}, 100 * position)
    return root


def table(root: Path, text: str) -> Path:
    """A CSV beside the images of an album."""
    path = root / "labels.csv"
    path.write_text(text)
    return path


def rows(root: Path) -> list[str]:
    """A line ``file,label`` for every image of an album."""
    return [f"{file.relative_to(root)},{file.parent.name}" for file in sorted(root.rglob("*.png"))]
