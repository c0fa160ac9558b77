"""What is known of datasets beyond images and labels: a JSON file here is the description of the dataset of its name.

``study.description`` says what it may hold.
"""

from __future__ import annotations

from pathlib import Path

from study.description import Description, read_description


def shipped(name: str) -> Description:
    """The description that comes with this package; an empty one where none does."""
    path = Path(__file__).with_name(f"{name}.json")
    return read_description(path) if path.is_file() else Description()
