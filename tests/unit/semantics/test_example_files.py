import numpy as np
import pytest
from PIL import Image

from regionflow.formats import rle
from regionflow.formats.regions import Generator, ImageInfo, RegionFile, annotation, numbered
from regionflow.semantics.example_files import (
    BadExamples,
    Example,
    LabelledRegion,
    class_names,
    read_tsv,
    resolve,
)
from regionflow.semantics.example_masks import from_label_maps


def region_file(image: str, error: str | None = None) -> RegionFile:
    """20 x 30 pixels: a whole, a part of it on its left, nothing in the last column."""
    whole, part = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    whole[:, :29], part[:, :10] = True, True
    size = (0, 0) if error else (20, 30)
    records = [] if error else [annotation(rle.encode(mask), "graph") for mask in (whole, part)]
    return RegionFile(ImageInfo(image, image, *size, error), numbered(records, image), Generator("regions", {}))


def write(path, *lines: str, head: str = "image\tx\ty\tclass"):
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def test_points_and_region_ids_name_the_smallest_region(tmp_path):
    lines = "a/b\t12\t3\tsky\tmore", "a/b\t2.5\t19\ttree"
    by_point = read_tsv(write(tmp_path / "p.tsv", *lines, head="image\tx\ty\tclass\tnote"))
    by_id = read_tsv(write(tmp_path / "r.tsv", "a/b_region_0\tsky", "a/b_region_1\ttree", head="region_id\tclass"))
    wanted = [LabelledRegion("a/b", 0, "sky"), LabelledRegion("a/b", 1, "tree")]
    assert resolve(tmp_path, by_point, region_file) == (wanted, [])
    assert resolve(tmp_path, by_id, region_file) == (wanted, [])
    assert class_names(by_point) == ["sky", "tree"] and class_names(by_point, ["tree", "sky"]) == ["tree", "sky"]


def test_two_points_in_one_region_of_one_class_are_one_example(tmp_path):
    examples = read_tsv(write(tmp_path / "p.tsv", "a\t12\t3\tsky", "a\t13\t3\tsky"))
    assert resolve(tmp_path, examples, region_file)[0] == [LabelledRegion("a", 0, "sky")]


def test_all_mistakes_of_the_lines_are_told_at_once(tmp_path):
    path = write(
        tmp_path / "p.tsv",
        "a\t1\t1\tsky",
        "a\t1\t1\ttree",
        "z\t1\t1\tsky",
        "a\tone\t1\tsky",
        "a\t2\t1\tbush",
        "a\t3\t1\t",
        "a\t4\t1\tTree",
        "a\tnan\t1\tsky",
        "a\t5",
    )
    with pytest.raises(BadExamples) as error:
        read_tsv(path, classes=["sky", "tree", "Tree"], images=["a"])
    text = str(error.value)
    assert str(path) in text
    for said in (
        "line 3: the same place as line 2",
        "line 4: there is no image 'z'",
        "line 5: x 'one' and y '1' are not both numbers",
        "line 6: class 'bush' is not one of sky, tree",
        "line 7: no class name",
        "line 8: class 'Tree' was spelled 'tree' before",
        "line 9: x 'nan'",
        "line 10: no class name",
    ):
        assert said in text
    assert "line 2:" not in text


def test_mistakes_against_the_regions_are_told_at_once_in_the_order_of_the_lines(tmp_path):
    examples = [
        Example(3, "a", "sky", point=(30, 3)),
        Example(4, "a", "sky", point=(12, 3)),
        Example(6, "a", "tree", region=2),
    ]
    with pytest.raises(BadExamples) as error:
        resolve(tmp_path / "p.tsv", examples, region_file)
    lines = str(error.value).splitlines()
    assert lines[0].endswith("2 mistake(s) in the examples:")
    assert lines[1:] == [
        "line 3: (30, 3) is outside of a, which is 30 x 20 pixels",
        "line 6: a has no region 2, only 2",
    ]


def test_examples_of_an_image_that_could_not_be_read_are_left_out(tmp_path):
    examples = [Example(2, "bad", "sky", point=(3, 3)), Example(3, "a", "sky", point=(3, 3))]
    files = {"bad": region_file("bad", "truncated"), "a": region_file("a")}
    labelled, notes = resolve(tmp_path, examples, files.__getitem__)
    assert labelled == [LabelledRegion("a", 1, "sky")]
    assert notes == ["bad could not be read: its examples are left out"]


def test_a_region_that_holds_points_of_two_classes_is_left_out_and_said(tmp_path):
    examples = [Example(2, "a", "sky", point=(12, 3)), Example(3, "a", "tree", point=(13, 3))]
    labelled, notes = resolve(tmp_path, [*examples, Example(4, "a", "cup", point=(3, 3))], region_file)
    assert labelled == [LabelledRegion("a", 1, "cup")]
    assert notes == ["region 0 of a holds 'sky' (line 2), 'tree' (line 3): it is left out"]


@pytest.mark.parametrize("text", ["", "image\tclass\n", "image,x,y,class\na,1,1,sky\n"])
def test_a_file_without_the_columns_is_named_with_what_it_needs(tmp_path, text):
    (tmp_path / "p.tsv").write_text(text)
    with pytest.raises(BadExamples, match=r"p\.tsv.*image, x, y, class, or region_id, class"):
        read_tsv(tmp_path / "p.tsv")


def test_a_missing_file_and_one_without_lines(tmp_path):
    with pytest.raises(BadExamples, match=r"no\.tsv"):
        read_tsv(tmp_path / "no.tsv")
    with pytest.raises(BadExamples, match="no example"):
        read_tsv(write(tmp_path / "p.tsv"))


def save(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def test_label_maps_label_the_regions_that_lie_in_one_class(tmp_path):
    labels = np.full((20, 30), 1, np.uint8)
    labels[:, :9] = 2
    save(tmp_path / "a" / "b.png", labels)
    # The part is 90 % tree; the whole 69 % sky.
    strict = from_label_maps(tmp_path, ["sky", "tree"], ["a/b", "c"], region_file, 0.8)
    assert strict == [LabelledRegion("a/b", 1, "tree")]
    loose = from_label_maps(tmp_path, ["sky", "tree"], ["a/b", "c"], region_file, 0.6)
    assert loose == [LabelledRegion("a/b", 0, "sky"), LabelledRegion("a/b", 1, "tree")]


def test_label_maps_that_do_not_fit_are_all_named(tmp_path):
    save(tmp_path / "a.png", np.zeros((20, 31), np.uint8))
    save(tmp_path / "b.png", np.full((20, 30), 3, np.uint8))
    with pytest.raises(BadExamples) as error:
        from_label_maps(tmp_path, ["sky", "tree"], ["a", "b"], region_file, 0.8)
    assert "a.png: (20, 31) pixels" in str(error.value) and "b.png: value 3, but there are 2" in str(error.value)
    with pytest.raises(BadExamples, match=r"no image of the set has a label map here, such as q\.png"):
        from_label_maps(tmp_path, ["sky", "tree"], ["q"], region_file, 0.8)


def test_a_point_in_no_region_is_left_out_and_said(tmp_path):
    examples = [Example(2, "b", "sky", point=(29, 3)), Example(3, "b", "sky", point=(28, 3))]
    labelled, notes = resolve(tmp_path, examples, region_file)
    assert labelled == [LabelledRegion("b", 0, "sky")]
    assert notes == ["line 2: (29, 3) lies in no region of b: it is left out"]
