"""Class tables side by side: what another labeler said, renamed."""

import numpy as np
import pytest

from regionflow.config.load import ConfigError, load_config
from regionflow.formats.regions import Generator, ImageInfo
from regionflow.formats.semantics import RegionClass, Semantics
from regionflow.run.preflight import model_problems
from regionflow.semantics.renamed import Renamed
from regionflow.semantics.renamed_options import RenamedOptions
from regionflow.semantics.shipped import coco_panoptic
from regionflow.semantics.tables import BadClassTable, read_tables


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("source\ttarget\ncat\tanimal\nsky\tsky\ndog\tanimal\n")
    return str(path)


REGIONS = [
    RegionClass("a_region_0", 1, 0.4, [(1, 0.4), (2, 0.3), (3, 0.25)], "regions"),
    RegionClass("a_region_1", 2, 0.4, [(2, 0.4), (3, 0.3), (1, 0.2)], "dense"),
    RegionClass("a_region_2", 0, 0.0, [(3, 0.1)], "none"),
]
SEMANTICS = Semantics(ImageInfo("a", "a.png", 2, 3), ["cat", "sky", "dog"], REGIONS, {"none": 1.0}, Generator("", {}))


def test_classes_are_renamed_after_the_decision_and_scores_added_up(table):
    labels = np.array([[0, 1, 2], [3, 3, 1]], np.int64)
    after, painted = Renamed(RenamedOptions(labeler="x", tables=[table])).rename(SEMANTICS, labels)
    assert after.classes == ["animal", "sky"]
    assert painted.tolist() == [[0, 1, 2], [1, 1, 1]]
    assert [region.value for region in after.regions] == [1, 2, 0]
    assert after.regions[0].top == [(1, pytest.approx(0.65)), (2, 0.3)]
    # The class stays that of the decision, though its parts together were likelier than the sky.
    assert after.regions[1].score == 0.4 and after.regions[1].top[0] == (1, pytest.approx(0.5))
    assert [region.decided_by for region in after.regions] == ["regions", "dense", "none"]
    assert [region.score for region in after.regions] == [pytest.approx(0.65), 0.4, 0.0]


def test_two_tables_one_after_the_other_are_the_chain():
    names = coco_panoptic()
    every = [RegionClass(str(i), i + 1, 0.5, [(i + 1, 0.5)], "regions") for i in range(len(names))]
    labels = np.arange(len(names) + 1)[None]
    coco = Semantics(SEMANTICS.image, names, every, {}, Generator("", {}))
    by_28 = Renamed(RenamedOptions(labeler="x", tables=["coco_133_to_28"])).rename(coco, labels)
    by_19 = Renamed(RenamedOptions(labeler="y", tables=["coco_28_to_19"])).rename(*by_28)
    at_once = Renamed(RenamedOptions(labeler="x", tables=["coco_133_to_28", "coco_28_to_19"])).rename(coco, labels)
    assert by_19[0] == at_once[0] and (by_19[1] == at_once[1]).all()
    chain = read_tables(["coco_133_to_28", "coco_28_to_19"], names)
    assert by_19[0].classes == chain.targets and by_19[1][0, 1:].tolist() == (chain.index + 1).tolist()
    with pytest.raises(BadClassTable, match="'wall' is no class of the labeler"):
        Renamed(RenamedOptions(labeler="x", tables=["coco_28_to_19"])).rename(coco, labels)


def config(**labelers):
    seem = {"type": "seem", "random_seed": 0}
    return {"labelers": {"s": seem, **labelers}, "targets": {"labelers": [*labelers]}}


def renamed(labeler, *tables):
    return {"type": "renamed", "labeler": labeler, "tables": list(tables)}


def told(values) -> list[str]:
    return [line for line in model_problems(load_config(values)) if "labelers" in line]


def test_tables_side_by_side_are_checked_before_a_run(table):
    by_28 = renamed("s", "coco_133_to_28")
    assert told(config(a=by_28, b=renamed("a", "coco_28_to_19"), c=renamed("s", "coco_133_to_28"))) == []
    (line,) = told(config(a=by_28, b=renamed("a", "coco_133_to_28")))
    assert line.startswith("labelers.b.tables: coco_133_to_28: ") and "is no class of the labeler" in line
    (line,) = told(config(a=renamed("s", table)))
    assert "'cat'" not in line and "no line for" in line and "labelers.a.tables" in line
    # Names of a model on a hub are not known yet.
    hub = {"type": "transformers", "model": "some/where"}
    assert [x for x in told(config(hub=hub, a=renamed("hub", table))) if x.startswith("labelers.a")] == []


def test_a_circle_and_an_unknown_labeler_are_told():
    lines = told(config(a=renamed("b", "coco_28_to_19"), b=renamed("a", "coco_28_to_19")))
    assert "labelers.a.labeler: a -> b -> a is a circle" in lines
    with pytest.raises(ConfigError, match=r"labelers\.a\.labeler.*nobody"):
        load_config(config(a=renamed("nobody", "coco_28_to_19")))
