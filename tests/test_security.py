"""Nothing that lies in a study's folder, and nothing in a paper, runs code."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from report import pdf
from study import records
from study.errors import StudyError
from study.kinds import Vote
from study.records import Outcome, Spec

ROOT = Path(__file__).parent.parent


class Hostile:
    """What creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_arrays_of_a_record_run_no_code(tmp_path: Path) -> None:
    run, created = tmp_path / "run", tmp_path / "created"
    buffer = io.BytesIO()
    np.savez(buffer, test_logits=np.array([Hostile(created)], dtype=object))
    with zipfile.ZipFile(buffer) as archive:
        assert b"mkdir" in archive.read("test_logits.npy"), "the pickle is hostile indeed"
    records.write_spec(run, Spec(Vote(level=1, name="v", rule="hard", members=()), 0, "quick", "f", "s", {}))
    (run / records.PREDICTIONS).write_bytes(buffer.getvalue())
    records.finish(run, Outcome({"test_accuracy": 0.5}))
    with pytest.raises(StudyError, match="predictions.npz holds no arrays .*allow_pickle=False.*; run the study again"):
        records.load_run(run).arrays  # noqa: B018
    assert not created.exists()


@pytest.mark.needs_tex
def test_latex_runs_no_commands(tmp_path: Path) -> None:
    created = tmp_path / "created"
    source = rf"\documentclass{{article}}\begin{{document}}\immediate\write18{{touch {created}}}x\end{{document}}"
    assert pdf.by_latex({"main.tex": source.encode()}).startswith(b"%PDF")
    assert not created.exists()
