from __future__ import annotations

import pytest

from study.design import presets
from study.errors import StudyError


def test_presets_go_by_name() -> None:
    assert [presets.by_name(name).name for name in presets.PRESETS] == list(presets.PRESETS)


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown preset 'huge'; choose one of quick, cpu, overnight, paper"):
        presets.by_name("huge")


def test_only_quick_uses_a_subset() -> None:
    kept = {name: preset.subset.train for name, preset in presets.PRESETS.items() if name != "tiny"}
    assert kept["quick"] is not None and {kept[name] for name in ("cpu", "overnight", "paper")} == {None}
