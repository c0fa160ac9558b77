"""Records and data on their way between machines that share no folder, as archives that are checked before use."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from study import files, records
from study.data import ood, sources
from study.errors import StoppingError, StudyError
from study.running.recording import make_room
from study.running.study import Study

MOST_BYTES = 2**31  # of data that are shipped; more has to be put in place by hand


def packed(root: Path, paths: Iterable[Path]) -> bytes:
    """The files as a tar archive of their places below ``root``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in paths:
            archive.add(path, path.relative_to(root), recursive=False)
    return buffer.getvalue()


def pack_records(root: Path, names: Iterable[str]) -> bytes:
    """Complete runs of a study as one archive. StudyError when one is not complete."""
    runs = [records.load_run(root / name) for name in names]
    return packed(root, [run.folder / file for run in runs for file in (*run.files, records.RESULT)])


def put_records(archive: bytes, root: Path, names: Iterable[str]) -> None:
    """Put the runs of an archive in their places in a study, each at once, setting aside what other specs left there.

    StudyError, with nothing changed, unless the archive holds just those runs with the digests they recorded.
    """
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root, prefix=".arriving-") as folder:
        arrived = Path(folder)
        _unpack(archive, arrived)
        runs = [records.load_run(arrived / name) for name in names]
        for run, name in zip(runs, names, strict=True):
            if run.name != name or records.digests(run.folder) != run.files:
                raise StudyError(f"what arrived as {name} is another run; run the study again")
        for run in runs:
            make_room(root, run.spec)
            place = root / run.name
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            run.folder.rename(place)


def data_files(study: Study) -> tuple[Path, list[Path]]:
    """The folder of a study's data, and their files below it.

    None where they come with a package, or are in a folder or table of the user's, which is where its path says.
    """
    root = sources.folder_of(study.options.data)
    if study.data.source not in sources.names():
        return root, []
    patterns = _patterns(study) if study.options.ood else [*_patterns(study), sources.OOD_FILES]
    found = {path for each in patterns for path in root.glob(each)}
    return root, sorted(path for path in found if path.is_file())


def _patterns(study: Study) -> list[str]:
    """Which files below the data folder hold the study's images, and out-of-distribution ones that were asked for."""
    asked = [name for name in (study.data.source, study.options.ood) if name in sources.names()]
    return [pattern for name in asked if (pattern := sources.named(name).FILES)]


def pack_data(study: Study) -> bytes:
    """The data's files as one archive. StudyError when there are none, or too many."""
    root, paths = data_files(study)
    size = sum(path.stat().st_size for path in paths)
    if not paths or size > MOST_BYTES:
        what = f"{size / 2**30:.1f} GB" if paths else "images of one's own"
        where = root.absolute() if paths else "the same path"
        raise StudyError(f"it lacks images of {study.data.title}, and {what} are not sent; copy them there, to {where}")
    return packed(root, paths)


def put_data(archive: bytes, study: Study) -> None:
    """Keep the data of a study on this machine, where ``located`` finds them."""
    place = _kept_data(study)
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".arriving-") as folder:
        _unpack(archive, Path(folder) / "data")
        shutil.rmtree(place, ignore_errors=True)
        (Path(folder) / "data").rename(place)


def located(study: Study) -> Study:
    """The study with its images in memory, from where its options say or from what was sent to this machine.

    StudyError when neither holds the images, and the out-of-distribution ones, with the study's fingerprints.
    """
    for data in (study.options.data, str(_kept_data(study))):
        found = replace(study, options=replace(study.options, data=data))
        if _may_be_there(found):
            with contextlib.suppress(StudyError):  # from images that are not the study's
                others = ood.available(found.dataset, sources.folder_of(data), found.options.ood)
                if study.data.ood == (others.fingerprint if others else ""):
                    return found
    raise StudyError(f"it does not have {study.data.title} with the fingerprint {study.data.fingerprint[:12]}")


def _may_be_there(study: Study) -> bool:
    """Whether there is something to read, so that nothing is downloaded to every machine."""
    root = sources.folder_of(study.options.data)
    with contextlib.suppress(StudyError):  # from a path that leads to nothing
        sources.find(study.data.source, root)
        return all(any(root.glob(pattern)) for pattern in _patterns(study))
    return False


def own_root(study: Study, name: str) -> Path:
    """Where this machine carries out a run of a study whose folder it does not see; the same when it is tried again."""
    return files.cache_folder() / "nodes" / f"{study.folder}/{name}".strip("/").replace("/", "_")


def _kept_data(study: Study) -> Path:
    return files.cache_folder() / "data" / study.data.fingerprint


def _unpack(archive: bytes, folder: Path) -> None:
    """Unpack what may not leave the folder, and have the disk keep it. StudyError for what is no such archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as held:
            held.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise StudyError(f"an archive arrived damaged ({error}); run the study again") from error
    except OSError as error:
        raise StoppingError(f"cannot write to {folder}: {error.strerror}; free space") from error
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
