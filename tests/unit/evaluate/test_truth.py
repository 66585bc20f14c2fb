"""Ground truth from the files that people have."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from regionflow.evaluate.options import CocoTruth, LabelMapTruth, PanopticTruth
from regionflow.evaluate.truth import ImageTruth, TrueRegion, TruthError, open_truth
from regionflow.formats import rle

HEIGHT, WIDTH = 30, 40


def box(y, x, h, w):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def masks_of(image):
    return [rle.decode(region.mask) for region in image.regions]


def coco_file(tmp_path, annotations, names=("a.jpg",)):
    images = [{"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH} for i, name in enumerate(names)]
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return CocoTruth(file=str(path))


def test_coco_polygons_and_both_kinds_of_rle(tmp_path):
    blob = box(3, 4, 10, 12)
    uncompressed = {"size": [HEIGHT, WIDTH], "counts": rle.counts(rle.encode(blob)).tolist()}
    options = coco_file(
        tmp_path,
        [
            {"id": 1, "image_id": 0, "category_id": 3, "segmentation": rle.encode(blob), "iscrowd": 0},
            {"id": 2, "image_id": 0, "category_id": 7, "segmentation": uncompressed, "iscrowd": 1},
            {"id": 3, "image_id": 0, "category_id": 7, "segmentation": [[4, 3, 16, 3, 16, 13, 4, 13]]},
        ],
    )
    truth = open_truth(options, ["a"])
    image = truth.image("a", HEIGHT, WIDTH)
    for mask in masks_of(image):
        assert (mask == blob).all()
    assert truth.classes == ["cat", "dog"]
    assert [(r.label, r.crowd) for r in image.regions] == [(1, False), (0, True), (0, False)]
    with pytest.raises(TruthError, match="a has 30 x 40 pixels, its image 60 x 80"):
        truth.image("a", 60, 80)


def test_images_match_by_id_or_unambiguous_name_and_the_rest_is_told(tmp_path):
    options = coco_file(tmp_path, [], ("a.jpg", "sub/b.png", "other.png"))
    truth = open_truth(options, ["x/a", "sub/b", "c"])
    assert "x/a" in truth and "sub/b" in truth and "c" not in truth
    assert (truth.extra, truth.missing) == (["other"], ["c"])
    with pytest.raises(TruthError, match="a may be any of x/a, y/a"):
        open_truth(options, ["x/a", "y/a"])
    with pytest.raises(TruthError, match="none of the 1 images has ground truth here; there is a, other"):
        open_truth(options, ["c"])


def test_panoptic_files(tmp_path):
    left, right = box(0, 0, HEIGHT, 20), box(0, 20, HEIGHT, 10)
    ids = np.where(left, 300, 0) + np.where(right, 70_000, 0)
    pixels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    segments = [{"id": 300, "category_id": 3, "iscrowd": 0}, {"id": 70_000, "category_id": 7, "iscrowd": 1}]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 3, "name": "sky"}, {"id": 7, "name": "sea"}],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    options = PanopticTruth(file=str(tmp_path / "panoptic.json"), dir=str(tmp_path))
    image = open_truth(options, ["a"]).image("a", HEIGHT, WIDTH)
    assert [(r.label, r.crowd) for r in image.regions] == [(0, False), (1, True)]
    assert all((m == e).all() for m, e in zip(masks_of(image), (left, right), strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_instances_as_label_maps(tmp_path, dtype):
    labels = (box(2, 2, 5, 5) * 1 + box(10, 10, 8, 8) * 200).astype(dtype)
    (tmp_path / "sub").mkdir()
    Image.fromarray(labels).save(tmp_path / "sub/a.png")
    truth = open_truth(LabelMapTruth(dir=str(tmp_path)), ["sub/a"])
    image = truth.image("sub/a", HEIGHT, WIDTH)
    assert [m.sum() for m in masks_of(image)] == [25, 64] and {r.label for r in image.regions} == {-1}
    by_column = open_truth(LabelMapTruth(column="truth"), ["z"], {"z": tmp_path / "sub/a.png"})
    assert by_column.image("z", HEIGHT, WIDTH).regions == image.regions
    everything = open_truth(LabelMapTruth(dir=str(tmp_path), background=None), ["sub/a"])
    assert len(everything.image("sub/a", HEIGHT, WIDTH).regions) == 3


def test_classes_as_label_maps_are_split_into_connected_regions(tmp_path):
    labels = (box(2, 2, 5, 5) | box(10, 10, 8, 8)) * 5 + box(20, 0, 10, 5) * 255
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "classes.csv").write_text("value,name\n0,ground\n5,tree\n9,car\n")
    options = LabelMapTruth(dir=str(tmp_path), values="classes", classes=str(tmp_path / "classes.csv"))
    truth = open_truth(options, ["a"])
    image = truth.image("a", HEIGHT, WIDTH)
    assert truth.classes == ["ground", "tree", "car"]
    assert sorted((r.label, rle.area(r.mask)) for r in image.regions) == [(0, 1061), (1, 25), (1, 64)]
    expected = np.where(labels == 255, -1, labels // 5)
    assert (image.class_map() == expected).all()
    unnamed = open_truth(LabelMapTruth(dir=str(tmp_path), values="classes"), ["a"])
    assert unnamed.classes == ["0", "5"]
    (tmp_path / "classes.csv").write_text("value,name\n0,ground\n")
    with pytest.raises(TruthError, match=r"a\.png: no name for the value 5"):
        open_truth(options, ["a"]).image("a", HEIGHT, WIDTH)


def test_the_smallest_region_that_holds_a_pixel_wins():
    whole, part = box(0, 0, 20, 20), box(5, 5, 4, 4)
    regions = tuple(TrueRegion(rle.encode(m), label) for m, label in ((part, 1), (whole, 0)))
    expected = np.where(part, 1, np.where(whole, 0, -1))
    assert (ImageTruth("a", HEIGHT, WIDTH, regions).class_map() == expected).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not a COCO"), ('{"images": 3, "annotations": []}', "not a COCO"), ("{}", "not a COCO")],
)
def test_broken_files_are_named(tmp_path, content, message):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(TruthError, match=rf"broken\.json.*{message}"):
        open_truth(CocoTruth(file=str(path)), ["a"])


def test_a_segmentation_that_is_none_is_named(tmp_path):
    options = coco_file(tmp_path, [{"id": 12, "image_id": 0, "category_id": 3, "segmentation": [[1, 2]]}])
    with pytest.raises(TruthError, match="annotation 12 has no usable segmentation"):
        open_truth(options, ["a"]).image("a", HEIGHT, WIDTH)


def test_a_photo_is_no_label_map_and_one_source_is_named(tmp_path):
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(TruthError, match="one channel of integers"):
        open_truth(LabelMapTruth(dir=str(tmp_path)), ["a"]).image("a", HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="either dir or column"):
        LabelMapTruth()


def test_masks_of_coco_are_what_pycocotools_takes(tmp_path):
    options = coco_file(tmp_path, [{"id": 1, "image_id": 0, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}])
    (region,) = open_truth(options, ["a"]).image("a", HEIGHT, WIDTH).regions
    assert region.label == -1 and coco.area(region.mask) == 64
