"""Decoded images: once made, kept in the user's cache folder, and read back into memory or as they are asked for.

An entry is a folder that is written under another name and renamed last, so that a build which was killed is never
mistaken for a complete one. One process builds at a time, so that what it finds unfinished was left by a kill. Every
image's digest is checked when it is read back.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from study.data.listing import Listing, some
from study.data.pixels import bombs_refused, complaint, squared, upright_size
from study.errors import StudyError, printable
from study.files import cache_folder
from study.machine import available_threads, main_memory_bytes

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

IMAGES, ABOUT = "images.npy", "about.npz"
CHUNK = 64  # images that a thread decodes, or that are hashed, at a time
MEMORY_SHARE = 0.1  # of all memory: each of several processes holds its splits beside all images, and a view of them
FORMAT = 2  # of the pixels kept: to be raised when the same files come to others
PARTIAL, VIEW, LOCK = ".partial-", "view-", ".lock"


@dataclass(frozen=True)
class StoredImages:
    """Images (N, 3, S, S) uint8 in a file, for sets too large for memory: read when indexed, by a tensor or a slice.

    ``rows`` are those of the file that count, in their order, ``keeps`` what the file goes with. Nothing stays mapped
    between calls, so that what was read does not add up in the process's memory.
    """

    path: Path
    rows: np.ndarray
    side: int
    device: torch.device = torch.device("cpu")
    keeps: object = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, S, S)."""
        return len(self.rows), 3, self.side, self.side

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        rows = self.rows[chosen if isinstance(chosen, slice) else chosen.cpu().numpy()]
        return torch.from_numpy(np.load(self.path, mmap_mode="r")[rows]).to(self.device)

    def take(self, chosen: Tensor) -> StoredImages:
        """Those images, still in the file."""
        return replace(self, rows=self.rows[chosen.cpu().numpy()])

    def to(self, device: torch.device) -> StoredImages:
        """The same images, put on the device when they are read."""
        return replace(self, device=device)

    def split(self, size: int) -> Iterator[Tensor]:
        """The images, ``size`` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))


Images = Tensor | StoredImages


class Writer:
    """A file of images (N, 3, S, S) uint8 that is filled in any order and by any thread.

    It is not mapped, or all that was written would count as this process's memory.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self.file, self.image = path.open("wb"), math.prod(shape[1:])
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
        self.file.flush()
        self.begin = self.file.tell()

    def put(self, row: int, pixels: np.ndarray) -> None:
        """Write one image, or several, from that row on."""
        left, at = memoryview(np.ascontiguousarray(pixels).tobytes()), self.begin + row * self.image
        while left:  # a disk that is nearly full takes a part
            done = os.pwrite(self.file.fileno(), left, at)
            left, at = left[done:], at + done

    def close(self) -> None:
        """Make sure that all of it is on the disk."""
        os.fsync(self.file.fileno())
        self.file.close()


def written(parts: Iterable[Tensor], like: StoredImages) -> StoredImages:
    """Images that are made part by part, in a temporary file that goes when the result does."""
    folder, lock = _folder_of_views()
    path = Path(folder.name) / IMAGES
    writer, row = Writer(path, like.shape), 0
    for part in parts:
        writer.put(row, part.cpu().numpy())
        row += len(part)
    writer.close()
    return replace(like, path=path, rows=np.arange(row), keeps=(folder, lock))


def _folder_of_views() -> tuple[tempfile.TemporaryDirectory[str], FileLock]:
    """A temporary folder and the lock that is held on it; those that processes left which were killed are removed."""
    with FileLock(cache_folder() / f"{VIEW}{LOCK}"):
        for left in cache_folder().glob(f"{VIEW}*/{LOCK}"):
            with suppress(Timeout), FileLock(left, timeout=0):
                shutil.rmtree(left.parent, ignore_errors=True)
        folder = tempfile.TemporaryDirectory(prefix=VIEW, dir=cache_folder())
        lock = FileLock(Path(folder.name) / LOCK)
        lock.acquire()
    return folder, lock


@dataclass(frozen=True)
class Decoded:
    """Images of a listing: pixels, their SHA-256 (N, 32) and the width and height (N, 2) that they had."""

    images: Images
    digests: np.ndarray
    dimensions: np.ndarray


def side_of(listing: Listing, rows: np.ndarray, largest: int, least: int) -> int:
    """Side of the squares to store: what half of the shorter sides reach, between the bounds, a multiple of four.

    StudyError names the files that are no images.
    """
    sides = np.zeros(len(rows), np.int64)
    _for_each(listing, rows, lambda image: min(image.size), sides.__setitem__)
    return int(np.clip(4 * np.ceil(np.median(sides) / 4), least, largest))


def decoded(listing: Listing, rows: np.ndarray, largest: int, least: int) -> Decoded:
    """The listing's images of these rows as squares of a ``side_of`` theirs: from the cache, or made for it.

    They are in memory while they take less than a tenth of it. No file is opened for what is in the cache. StudyError
    names every file that cannot be read.
    """
    made_by = (listing.stamp, largest, least, FORMAT, version("pillow"))
    key = hashlib.sha256(repr(made_by).encode() + rows.astype("<i8").tobytes()).hexdigest()[:32]
    entry = cache_folder() / "images" / key
    found = _read(entry) or _made(entry, listing, rows, largest, least)
    if found is None:
        raise StudyError(f"the cache of images in {entry} does not hold what was written; check the disk")
    return found


def _made(entry: Path, listing: Listing, rows: np.ndarray, largest: int, least: int) -> Decoded | None:
    """The entry, built while no other process builds, unless one has just done so."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.parent / LOCK):
            if found := _read(entry):
                return found
            for left in (entry, *entry.parent.glob(f"{PARTIAL}*")):
                shutil.rmtree(left, ignore_errors=True)
            _build(entry, listing, rows, side_of(listing, rows, largest, least))
    except OSError as error:
        raise StudyError(
            f"cannot keep decoded images in {entry.parent}: {error.strerror}; free space or set XDG_CACHE_HOME"
        ) from error
    return _read(entry)


def _build(entry: Path, listing: Listing, rows: np.ndarray, side: int) -> None:
    """Decode into a folder beside the entry and rename it last."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=entry.parent) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        writer = Writer(made / IMAGES, (len(rows), 3, side, side))
        about = _decode(listing, rows, side, writer)
        writer.close()
        with (made / ABOUT).open("wb") as file:
            np.savez(file, **about)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        made.rename(entry)


def _decode(listing: Listing, rows: np.ndarray, side: int, into: Writer) -> dict[str, np.ndarray]:
    """Write the images; returns digests and dimensions. StudyError names all files that cannot be read."""
    digests, dimensions = np.zeros((len(rows), 32), np.uint8), np.zeros((len(rows), 2), np.int64)

    def read(image: Image.Image) -> tuple[tuple[int, int], np.ndarray]:
        return upright_size(image), squared(image, side)

    def keep(place: int, found: tuple[tuple[int, int], np.ndarray]) -> None:
        dimensions[place], square = found
        into.put(place, square)
        digests[place] = _digest(square)

    _for_each(listing, rows, read, keep)
    return {"digests": digests, "dimensions": dimensions}


def _for_each(
    listing: Listing, rows: np.ndarray, read: Callable[[Image.Image], T], keep: Callable[[int, T], None]
) -> None:
    """Read the listing's images of these rows in threads, and keep what comes of each by its place in ``rows``.

    StudyError names all files that cannot be read.
    """
    bad: dict[int, str] = {}

    def work(place: int) -> None:
        try:
            with listing.open(int(rows[place])) as image:
                found = read(image)
        except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
            bad[place] = complaint(error)
        else:
            keep(place, found)

    with bombs_refused():
        in_threads(work, len(rows))
    _refuse(bad, listing, rows)


def in_threads(work: Callable[[int], None], places: int, threads: int | None = None) -> None:
    """Do the work for every place, in chunks, on all processors or so many threads.

    Pillow decodes and resizes without Python's lock.
    """
    chunks = [range(start, min(start + CHUNK, places)) for start in range(0, places, CHUNK)]
    with ThreadPoolExecutor(threads or available_threads()) as pool:
        for _ in pool.map(lambda chunk: list(map(work, chunk)), chunks):
            pass


def _digest(square: np.ndarray) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(square).tobytes()).digest(), np.uint8)


def _refuse(bad: dict[int, str], listing: Listing, rows: np.ndarray) -> None:
    if not bad:
        return
    places = sorted(bad)
    if len(bad) == 1:
        raise StudyError(f"{printable(listing.names[rows[places[0]]])} {bad[places[0]]}")
    names = [listing.names[rows[place]] for place in places]
    raise StudyError(f"{len(bad)} images cannot be read: {some(names)}; remove or replace them")


def _read(entry: Path) -> Decoded | None:
    """A complete entry whose images have the digests they were stored with; None where there is none."""
    try:
        with np.load(entry / ABOUT, allow_pickle=False) as about:
            digests, dimensions = about["digests"], about["dimensions"]
        side = np.load(entry / IMAGES, mmap_mode="r").shape[-1]
        stored = StoredImages(entry / IMAGES, np.arange(len(digests)), side)
        fits = len(digests) * 3 * side * side <= MEMORY_SHARE * (main_memory_bytes() or math.inf)
        images: Any = torch.empty(stored.shape, dtype=torch.uint8) if fits else stored
        for start in range(0, len(digests), CHUNK):
            part = stored[start : start + CHUNK]
            if part.shape[1:] != stored.shape[1:] or (_digests(part) != digests[start : start + CHUNK]).any():
                return None
            if fits:
                images[start : start + CHUNK] = part
        return Decoded(images, digests, dimensions)
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _digests(images: Tensor) -> np.ndarray:
    return np.stack([_digest(image) for image in images.numpy()])
