"""What CONTRIBUTING.md tells a contributor to do, done."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from analysis import subjects
from analysis.assemble import assemble
from report.build import render
from report.environment import TEMPLATES
from report.figures import draw
from report.lookup import Lookup
from study import kinds, records
from study.data import datasets, sources
from study.description import Description, read_description
from study.design import levels
from study.design.levels import level3_architecture
from study.experiment import Experiment
from study.files import write_json
from study.kinds import Context
from study.records import read_plan
from tests.evidence_samples import blank_drawings
from tests.fabricate import ENVIRONMENT, experiments, fabricate

GUIDE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
TREATED = "level3/eca-head"
Add = Callable[[ModuleType, str, str], ModuleType]


def example(heading: str, language: str = "python") -> str:
    """The first code block of a section of CONTRIBUTING.md."""
    section = re.split(r"(?m)^## ", GUIDE.split(f"\n## {heading}\n", 1)[1])[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[0]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Puts a file into a package and imports it; afterwards all is as before."""
    before, known = dict(Experiment.kinds), set(sys.modules)

    def put(package: ModuleType, name: str, source: str) -> ModuleType:
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        levels._modules.cache_clear()
        module = importlib.import_module(f"{package.__name__}.{name}")
        delattr(package, name)  # so that undoing deletes what the import has set
        monkeypatch.setattr(package, name, module, raising=False)
        return module

    yield put
    monkeypatch.undo()
    for name in set(sys.modules) - known:
        if name.startswith(("study.", "analysis.")):
            del sys.modules[name]
    Experiment.kinds.clear()
    Experiment.kinds.update(before)
    levels._modules.cache_clear()


def page_of(study: Path) -> str:
    """The paper's HTML, its figures left blank."""
    lookup = Lookup(assemble(study), read_plan(study))
    return render("html", lookup, blank_drawings(lookup.evidence))


def part(page: str, label: str) -> str:
    """The text, without tables and figures, of the section or subsection with this label, up to the next heading."""
    inside = re.split(r"<h[23] ", page.split(f'id="sec-{label}"', 1)[1])[0]
    return " ".join(unescape(re.sub(r"<figure.*?</figure>|<[^>]+>", " ", inside, flags=re.DOTALL)).split())


@pytest.fixture
def with_eca_head(monkeypatch: pytest.MonkeyPatch) -> tuple[Experiment, ...]:
    """The experiments of levels 1 to 3, with the example's entry in level 3's tuple."""
    source = Path(level3_architecture.__file__).read_text(encoding="utf-8")
    assert source.count("return (attended, ") == 1
    changed = ModuleType("level3_with_eca_head")
    sys.modules[changed.__name__] = changed
    entry = example("Add an experiment").strip()
    exec(source.replace("return (attended, ", f"return (attended, {entry}, "), changed.__dict__)  # noqa: S102
    monkeypatch.setitem(levels._modules(), 3, changed)
    del sys.modules[changed.__name__]
    return experiments(1, 2, 3)


def test_a_new_experiment_is_printed_beside_its_group_with_its_own_control(
    tmp_path: Path, with_eca_head: tuple[Experiment, ...]
) -> None:
    study = fabricate(tmp_path, seeds=(0, 1, 2), planned=with_eca_head, images=300, accuracies={TREATED: 0.99})
    page = page_of(study)
    sentence = re.compile(
        r"The network with the ECA head improves accuracy by [\d.]+ points against the full recipe \("
    )
    assert sentence.search(part(page, "level3").split("CompactCNN, from scratch.")[0])
    assert "Further comparisons" not in page
    listed = page.split('id="tab-experiments"')[1].split("</table>")[0]
    (row,) = [row for row in listed.split("<tr>") if "an ECA head with dropout" in row]
    assert ">ECA head</td>" in row and ">Full recipe: an ECA head with dropout</td>" in row


def test_a_comparison_of_a_group_that_no_section_names_is_printed_all_the_same(
    tmp_path: Path, with_eca_head: tuple[Experiment, ...]
) -> None:
    planned = [replace(each, group="pooling") if each.key == TREATED else each for each in with_eca_head]
    page = page_of(fabricate(tmp_path, planned=planned))
    named, further = part(page, "level3").split("Further comparisons.")
    assert "ECA head" not in named
    assert re.match(r"\s*The network with the ECA head .* the full recipe \(.*leaves undecided", further)


def test_a_new_level_has_a_section_and_is_counted(tmp_path: Path, add: Add) -> None:
    add(levels, "level6_resolution", example("Add a level"))
    page = page_of(fabricate(tmp_path / "study", (0, 1, 2), images=300, accuracies={"level6/larger": 0.99}))
    assert "Six levels of image classification on CIFAR-10" in page
    assert "each of six increasingly elaborate stages" in page and "deployment and resolution" in page
    told = part(page, "level6")
    assert re.search("The full recipe with larger images improves accuracy by [0-9.]+ points against the full", told)
    for table in ("effects", "accuracies"):
        assert ">Full recipe, larger images</th>" in page.split(f'id="tab-{table}"')[1].split("</table>")[0]


def test_a_new_kind_is_carried_out_recorded_and_read_back(tmp_path: Path, add: Add) -> None:
    agreement = add(kinds, "agreement", example("Add a kind of run")).Agreement
    pair = listed(agreement)
    assert pair.needs == pair.sources
    study = fabricate(tmp_path / "study", planned=(*experiments(2, 3), pair), skip=[pair.key])
    run = carry_out(study, pair)
    said = [records.load_run(study / f"{key}/seed-0").predictions("test").predicted for key in pair.sources]
    assert run.metrics == {"agreement": np.mean(said[0] == said[1])}
    assert run.experiment == pair


def listed(agreement: type[kinds.Kind]) -> kinds.Kind:
    """The entry by which a level runs the example's kind."""
    (entry,) = re.findall(r"`(Agreement\(.*?\))`", GUIDE)
    return eval(entry, {"Agreement": agreement})  # noqa: S307


def carry_out(study: Path, experiment: kinds.Kind) -> records.Run:
    """A run of the experiment, recorded in the study as the runner would."""
    plan = read_plan(study)
    spec = plan.spec(experiment, 0, records.current_runs(study, plan))
    assert spec
    folder = study / spec.name
    records.write_spec(folder, spec)
    write_json(folder / records.ENVIRONMENT, ENVIRONMENT)
    context = Context(None, None, study, folder, 0, lambda *_: None)  # type: ignore[arg-type]
    outcome = experiment.carry_out(context)
    outcome.durations = {"total": 1.0}
    records.finish(folder, outcome)
    (run,) = [run for run in records.current_runs(study, plan).values() if run.key == experiment.key]
    return run


@pytest.mark.parametrize("part_of_it", ["carry_out", "cost"])
def test_a_kind_that_lacks_a_part_is_an_error_when_it_is_defined(part_of_it: str, add: Add) -> None:
    whole = example("Add a kind of run")
    forgotten = re.sub(rf"\n    def {part_of_it}\(.*?(?=\n    def|\Z)", "\n", whole, flags=re.DOTALL)
    assert forgotten != whole
    with pytest.raises(TypeError, match=f"the kind Agreement lacks {part_of_it}"):
        add(kinds, "agreement", forgotten)


def test_a_new_dataset_is_loaded_by_its_name_and_split(tmp_path: Path, add: Add) -> None:
    add(sources, "flowers", example("Add a dataset"))
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    images = rng.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    with pytest.raises(sources.Unavailable, match="flowers.npz"):
        datasets.load("flowers", str(tmp_path))
    np.savez(tmp_path / "flowers.npz", images=images, labels=labels, in_test=np.arange(60) < 15)
    flowers = datasets.load("flowers", str(tmp_path))
    assert flowers.sizes == {"train": 36, "validation": 9, "test": 15}
    assert np.array_equal(flowers.images.numpy(), images)


def test_a_description_is_read_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "description.json"
    path.write_text(example("Add a dataset", "json"))
    told = read_description(path)
    assert told.coarse(("daisy", "rose", "tulip")) == (0, 1, 1) and told.levels[1].pass_mark == 0.9


def test_the_paper_of_a_new_dataset_takes_it_for_no_other(tmp_path: Path) -> None:
    study = fabricate(tmp_path)
    plan = read_plan(study)
    flowers = replace(plan.dataset, name="flowers", source="flowers", title="Flowers", description=Description())
    records.write_plan(study, replace(plan, dataset=flowers, levels=levels.described(Description())))
    page = page_of(study).split('id="references"')[0]
    assert "Flowers" in page and not re.search("CIFAR-10|handwritten digits|odd or even|animal or vehicle", page)


def test_a_new_subject_prints_its_fact_table_and_figure_in_a_new_section(
    tmp_path: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = add(kinds, "agreement", example("Add a kind of run")).Agreement
    add(subjects, "agreement", example("Add a subject of the paper") + "\n\n" + example("Add a figure"))
    add_section(tmp_path / "templates", "agreement", monkeypatch)
    pair = listed(agreement)
    study = fabricate(tmp_path / "study", planned=(*experiments(), pair), skip=[pair.key])
    assert "pending: agreement/level4/agreement" in page_of(study)
    share = carry_out(study, pair).metrics["agreement"]
    page = page_of(study)
    assert f"The two networks agree on {100 * share:.2f} % of the test images" in part(page, "agreement")
    assert 'id="tab-agreement"' in page and 'id="fig-pairs"' in page and "pending" not in part(page, "agreement")
    assert "Pair" in page and draw(assemble(study).figures["pairs"]).svg


def add_section(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates, with the example's section before the one on trust."""
    shutil.copytree(TEMPLATES, folder)
    (folder / "sections" / f"{name}.jinja").write_text(example("Add a section", "jinja"), encoding="utf-8")
    paper, before = folder / "paper.jinja", '{% include "sections/trust.jinja" %}'
    text = paper.read_text(encoding="utf-8").replace(before, f'{{% include "sections/{name}.jinja" %}}\n{before}')
    paper.write_text(text, encoding="utf-8")
    monkeypatch.setattr("report.environment.TEMPLATES", folder)
