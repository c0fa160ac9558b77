"""From an image file of any size, mode and orientation to the square of pixels that a study stores; needs no torch.

An image is turned upright, cut to its central square, brought to 8-bit RGB on white, and reduced or enlarged by
Pillow's antialiased bilinear filter. One that already has the size wanted passes unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from study.errors import StudyError, printable

# Reading PostScript runs Ghostscript on it, which no image to classify is worth; of the others Pillow knows the names.
REFUSED_FORMATS = frozenset({"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"})
LYING = 5  # orientations from which on EXIF means an image turned by a quarter
DRAFT = 2  # a JPEG is decoded at no less than this multiple of the size wanted, which saves most of the work


def read_image(path: Path, size: int) -> np.ndarray:
    """Pixels (3, size, size) uint8 of an image file of any size, mode and orientation.

    Raises StudyError, naming the file, when it is missing, too large, damaged, or no image.
    """
    name = printable(str(path))
    if not path.is_file():
        raise StudyError(f"there is no image file {name}")
    try:
        with bombs_refused(), opened(path) as image:
            return squared(image, size)
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise StudyError(f"{name} {complaint(error)}") from error


def opened(path: Path) -> Image.Image:
    """An image file, its header read."""
    return Image.open(path, formats=_formats())


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Within the block an image that would fill the memory is an error, not a warning, in all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def complaint(error: Exception) -> str:
    """What is wrong with an image that could not be read, as the end of a sentence."""
    if isinstance(error, StudyError):
        return str(error)
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"has more than {Image.MAX_IMAGE_PIXELS} pixels; reduce it first"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {error.strerror}"
    return "cannot be read as an image: damaged, or an unknown format"


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in REFUSED_FORMATS]


def is_image_name(name: str) -> bool:
    """Whether a file's name ends like that of an image."""
    kind = Image.registered_extensions().get(Path(name).suffix.lower(), "EPS")
    return kind in _formats() or kind == "MPO"  # which Pillow opens as a JPEG


def files_below(folder: Path) -> list[Path]:
    """Image files below the folder that --ood names, by name, without hidden files and folders.

    StudyError when it is no folder or has none.
    """
    if not folder.is_dir():
        raise StudyError(f"--ood takes the name of a dataset or a folder of images, and {str(folder)!r} is neither")
    named = (path for path in folder.rglob("*") if is_image_name(path.name) and path.is_file())
    files = [path for path in named if not any(part[0] == "." for part in path.relative_to(folder).parts)]
    if not files:
        raise StudyError(f"there are no images in {folder}")
    return sorted(files)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height in px as the image is to be seen, which a camera's note of its orientation may exchange."""
    width, height = image.size
    exchanged = _orientation(image) >= LYING and image.format != "TIFF"  # whose size Pillow gives as it is seen
    return (height, width) if exchanged else (width, height)


def _orientation(image: Image.Image) -> int:
    """The camera's note, from 1 (upright) to 8; 1 where there is none that can be read."""
    try:
        noted = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises what its parser stumbles over, in a note that the pixels do not need
        return 1
    return noted if noted in range(1, 9) else 1


def squared(image: Image.Image, size: int) -> np.ndarray:
    """Pixels (3, size, size) uint8. StudyError for pixels of unknown range."""
    image.draft("RGB", (DRAFT * size, DRAFT * size))
    upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
    square = ImageOps.fit(_rgb(upright), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).transpose(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; what is transparent becomes white, 16-bit grey keeps its upper byte."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise StudyError("has 32-bit pixels of unknown range; convert it to 8 bits per channel")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
