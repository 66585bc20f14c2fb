import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.signed import change_json
from regionflow.base.errors import BadFile
from regionflow.formats import semantics
from regionflow.formats.regions import Generator, ImageInfo
from regionflow.formats.semantics import RegionClass, Semantics, read_semantics, write_semantics

CLASSES = ["sky", "tree", "wooden table"]
IMAGE = ImageInfo("a/b", "a/b.png", 4, 6)


def content(*regions: RegionClass) -> Semantics:
    shares = {"regions": 0.5, "dense": 0.25, "none": 0.25}
    return Semantics(IMAGE, CLASSES, list(regions), shares, Generator("semantics", {"labeler": {}}))


scores = st.floats(0, 1).map(semantics.short)
regions = st.builds(
    RegionClass,
    region_id=st.text(),
    value=st.integers(0, 3),
    score=scores,
    top=st.lists(st.tuples(st.integers(1, 3), scores), max_size=5),
    decided_by=st.sampled_from(["regions", "dense", "none"]),
)


@given(st.lists(regions, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, some):
    path = tmp_path_factory.mktemp("semantics") / "image.json"
    write_semantics(path, content(*some))
    assert read_semantics(path) == content(*some)


@given(st.floats(0, 1))
def test_scores_have_the_precision_of_float16_and_few_digits(score):
    stored = semantics.short(score)
    assert np.float16(stored) == np.float16(score)
    assert len(repr(stored)) <= 10


def test_things_and_stuff_are_kept_where_they_are_known(tmp_path):
    known = replace(content(), things=[False, True, True])
    write_semantics(tmp_path / "i.json", known)
    assert read_semantics(tmp_path / "i.json").things == [False, True, True]
    write_semantics(tmp_path / "unknown.json", content())
    assert "things" not in json.loads((tmp_path / "unknown.json").read_text())
    assert read_semantics(tmp_path / "unknown.json").things is None
    with pytest.raises(ValueError, match="2 things or stuff of 3 classes"):
        write_semantics(tmp_path / "i.json", replace(content(), things=[True, True]))
    change_json(tmp_path / "i.json", lambda c: c.update(things=[1, 0, 0]))
    with pytest.raises(BadFile, match="things does not say"):
        read_semantics(tmp_path / "i.json")


def test_records_carry_the_name(tmp_path):
    write_semantics(tmp_path / "i.json", content(RegionClass("a_region_0", 3, 0.5, [(3, 0.5)], "regions")))
    record = json.loads((tmp_path / "i.json").read_text())["regions"][0]
    assert (record["class"], record["name"]) == (3, "wooden table")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["regions"][0].update({"class": 4}), "does not list"),
        (lambda c: c["regions"][0].update({"name": "sky"}), "is called 'sky'"),
        (lambda c: c["regions"][0].update(decided_by="luck"), "decided by 'luck'"),
        (lambda c: c["regions"][0]["top"].append([9, 0.1]), "does not list"),
        (lambda c: c.pop("classes"), "classes"),
        (lambda c: c.update(shares=[]), "image.json"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused_by_name(tmp_path, change, said):
    path = tmp_path / "image.json"
    write_semantics(path, content(RegionClass("r", 2, 0.5, [(2, 0.5)], "regions")))
    change_json(path, change)
    with pytest.raises(BadFile, match=said) as error:
        read_semantics(path)
    assert str(path) in str(error.value)


def test_a_class_that_is_not_listed_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="class values"):
        write_semantics(tmp_path / "i.json", content(RegionClass("r", 4, 0.5, [], "regions")))
