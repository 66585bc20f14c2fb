"""Examples that were drawn with Label Studio, with CVAT or are in a COCO file."""

import json

import numpy as np
import pytest

from regionflow.formats import rle
from regionflow.formats.label_studio import to_brush
from regionflow.formats.regions import Generator, ImageInfo, RegionFile, annotation, numbered
from regionflow.semantics.drawn_examples import image_of, read_drawn
from regionflow.semantics.example_files import BadExamples, LabelledRegion
from regionflow.semantics.labelled_regions import check_examples, read_examples

H, W = 20, 40
IMAGES = ["street/a", "b", "broken"]
LEFT, MIDDLE, RIGHT = (np.arange(W) < 10, (np.arange(W) >= 10) & (np.arange(W) < 30), np.arange(W) >= 30)
STRIPS = [np.tile(columns, (H, 1)) for columns in (LEFT, MIDDLE, RIGHT)]


def regions(image: str) -> RegionFile:
    """Three strips of 10, 20 and 10 columns."""
    error = "it is broken" if image == "broken" else None
    records = [] if error else [annotation(rle.encode(strip), "graph") for strip in STRIPS]
    info = ImageInfo(image, f"{image}.png", *((0, 0) if error else (H, W)), error)
    return RegionFile(info, numbered(records, image), Generator("regions", {}))


def read(path, classes=None, images=IMAGES):
    return read_examples(path, classes, 0.8, images, regions)


def task(address: str, *results, **more):
    shapes = [{"id": f"r{i}", "original_width": W, "original_height": H, **one} for i, one in enumerate(results)]
    return {"id": 7, "data": {"image": address}, "annotations": [{"result": shapes}], **more}


def keypoint(x: float, y: float, name: str):
    value = {"x": 100 * x / W, "y": 100 * y / H, "width": 0.5, "keypointlabels": [name]}
    return {"type": "keypointlabels", "value": value}


def brush(mask, name: str):
    value = {"format": "rle", "rle": to_brush(rle.encode(mask)), "brushlabels": [name]}
    return {"type": "brushlabels", "value": value}


def polygon(corners, name: str):
    points = [[100 * x / W, 100 * y / H] for x, y in corners]
    return {"type": "polygonlabels", "value": {"points": points, "polygonlabels": [name]}}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_label_studio_points_brushes_and_polygons(tmp_path):
    box = {"type": "rectanglelabels", "value": {"x": 0, "y": 0, "width": 9, "height": 9, "rectanglelabels": ["dog"]}}
    tasks = [
        task("/data/upload/1/0a1b2c3d-b.jpg", keypoint(35, 19.9, "tree"), box, brush(STRIPS[0], "sky")),
        task("/data/local-files/?d=photos/street/a.jpg", polygon([(10, 0), (30, 0), (30, H), (10, H)], "road")),
        {**task("b.jpg"), "annotations": [{"was_cancelled": True, "result": [{"type": "nonsense"}]}]},
    ]
    labelled, names, notes = read(write(tmp_path / "export.json", tasks))
    expected = [LabelledRegion("b", 0, "sky"), LabelledRegion("b", 2, "tree"), LabelledRegion("street/a", 1, "road")]
    assert labelled == expected
    assert names == ["road", "sky", "tree"] and notes == ["1 rectanglelabels left out"]
    assert read(tmp_path / "export.json", ["tree", "road", "sky", "dog"])[1] == ["tree", "road", "sky", "dog"]


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="street/a.jpg" width="40" height="20">
  <points label="tree" source="manual" occluded="0" points="2.50,3.00;35.00,19.00" z_order="0"></points>
  <box label="car" xtl="1" ytl="1" xbr="9" ybr="9"></box>
</image>
<image id="1" name="b.png" width="40" height="20">
  <polygon label="road" points="30.0,0.0;40.0,0.0;40.0,20.0;30.0,20.0"></polygon>
  <mask label="sky" source="manual" rle="0, 120, 80" left="10" top="2" width="20" height="10"></mask>
  <mask label="sky" source="manual" rle="0, 400" left="10" top="0" width="20" height="20"></mask>
</image>
<image id="2" name="broken.png" width="40" height="20"><points label="sky" points="1,1"></points></image>
</annotations>"""


def test_cvat_points_polygons_and_masks(tmp_path):
    labelled, _, notes = read(write(tmp_path / "annotations.xml", CVAT))
    assert labelled == [
        LabelledRegion("b", 1, "sky"),
        LabelledRegion("b", 2, "road"),
        LabelledRegion("street/a", 0, "tree"),
        LabelledRegion("street/a", 2, "tree"),
    ]
    assert notes == ["1 box left out", "broken could not be read: its examples are left out"]
    drawn, _ = read_drawn(tmp_path / "annotations.xml")
    (mask,) = (one.mask for one in drawn if one.mask and rle.area(one.mask) == 120)
    expected = np.zeros((H, W), bool)
    expected[2:8, 10:30] = True
    assert (rle.decode(mask) == expected).all()


def test_coco_polygons_and_rles(tmp_path):
    strip = rle.encode(STRIPS[1])
    content = {
        "images": [{"id": 3, "file_name": "street/a.jpg", "width": W, "height": H}],
        "categories": [{"id": 5, "name": "sky"}, {"id": 6, "name": "road"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 5, "segmentation": [[0, 0, 10, 0, 10, H, 0, H]]},
            {"id": 2, "image_id": 3, "category_id": 6, "segmentation": strip},
            {"id": 3, "image_id": 3, "category_id": 5, "segmentation": {"size": [H, W], "counts": [600, 200]}},
            {"id": 4, "image_id": 3, "category_id": 5, "bbox": [0, 0, 2, 2]},
        ],
    }
    labelled, _, notes = read(write(tmp_path / "instances.json", content))
    assert [(one.region, one.name) for one in labelled] == [(0, "sky"), (1, "road"), (2, "sky")]
    assert notes == ["1 annotations without a segmentation left out"]


def test_a_mask_over_less_than_its_share_and_two_classes_in_a_region_label_nothing(tmp_path):
    most = STRIPS[1].copy()
    most[:5] = False
    tasks = [task("b.jpg", brush(most, "sky"), keypoint(5, 5, "tree"), brush(STRIPS[0], "road"))]
    labelled, _, notes = read(write(tmp_path / "export.json", tasks))
    assert labelled == []
    assert notes == ["region 0 of b holds 'tree' (task 7, r1), 'road' (a mask): it is left out"]


def test_later_masks_lie_above_earlier_ones(tmp_path):
    tasks = [task("b.jpg", brush(np.ones((H, W), bool), "sky"), brush(STRIPS[1], "road"))]
    labelled, _, _ = read(write(tmp_path / "export.json", tasks))
    assert [(one.region, one.name) for one in labelled] == [(0, "sky"), (1, "road"), (2, "sky")]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("b.jpg", "b"),
        ("/data/upload/3/12345678-b.jpg", "b"),
        ("/data/upload/3/1234567z-b.jpg", None),
        ("https://host/photos/street/a.jpg?token=x", "street/a"),
        ("/data/local-files/?d=street%2Fa.jpg", "street/a"),
        ("s3://bucket/street/a.png", "street/a"),
        ("a.jpg", None),
        ("", None),
    ],
)
def test_the_image_is_that_which_the_end_of_the_path_names(given, found):
    assert image_of(given, IMAGES) == found


def test_all_that_is_wrong_is_told_at_once_by_its_place(tmp_path):
    two = keypoint(1, 1, "sky")
    two["value"]["keypointlabels"] = ["sky", "tree"]
    cut = brush(STRIPS[0], "sky")
    cut["value"]["rle"] = cut["value"]["rle"][:9]
    without = keypoint(1, 1, "sky")
    del without["value"]["x"]
    path = write(tmp_path / "export.json", [task("b.jpg", two, cut, without), {"id": 8}])
    with pytest.raises(BadExamples) as error:
        check_examples(path, None)
    text = str(error.value)
    assert str(path) in text
    assert "task 7, r0: one class is needed, not 'sky', 'tree'" in text
    assert "task 7, r1: the brush is cut off" in text
    assert "task 7, r2: 'x' is missing" in text
    assert "task 8: 'data' is missing" in text
    with pytest.raises(BadExamples, match=r"task 7, r0: class 'sea' is not one of sky, tree") as error:
        check_examples(write(path, [task("b.jpg", keypoint(1, 1, "sea"), keypoint(2, 2, "Sea"))]), ["sky", "tree"])
    assert "task 7, r1: class 'Sea' was spelled 'sea' before" in str(error.value)
    with pytest.raises(BadExamples, match=r"there is no image of the set for 'nowhere\.jpg'"):
        read(write(path, [task("nowhere.jpg", keypoint(1, 1, "sky"))]))
    with pytest.raises(BadExamples, match="task 7, r0: b is 80 x 20 pixels there and 40 x 20 here"):
        read(write(path, [task("b.jpg", {**keypoint(1, 1, "sky"), "original_width": 80})]))
    with pytest.raises(BadExamples, match=r"task 7, r0: \(41, 1\) is outside of b"):
        read(write(path, [task("b.jpg", keypoint(41, 1, "sky"))]))
    assert read(write(path, [task("b.jpg", keypoint(W, H, "sky"))]))[0] == [LabelledRegion("b", 2, "sky")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "cannot be read"),
        ("a.json", {"images": []}, "neither Label Studio's JSON, nor COCO's, nor CVAT's XML"),
        ("a.json", [], "no example in it"),
        ("a.json", [5], "task 1: "),
        ("a.xml", "<annotations>", "cannot be read"),
        ("a.xml", '<!DOCTYPE x [<!ENTITY e "e">]><annotations/>', "a document type"),
        ("a.xml", CVAT.replace("0, 400", "0, 399"), "image b.png, shape 3: runs of 399 pixels in a box of 20 x 20"),
        ("a.xml", CVAT.replace('left="10" top="0"', 'left="30" top="0"'), "its box goes beyond the image"),
        ("a.xml", CVAT.replace("2.50,3.00;", "2.50;"), "image street/a.jpg, shape 1: "),
        ("a.xml", CVAT.replace('height="20"', 'height="0"'), "an image of 40 x 0 pixels"),
    ],
)
def test_files_that_are_something_else_or_damaged_are_named(tmp_path, name, content, said):
    with pytest.raises(BadExamples) as error:
        check_examples(write(tmp_path / name, content), None)
    assert said in str(error.value) and str(tmp_path / name) in str(error.value)
