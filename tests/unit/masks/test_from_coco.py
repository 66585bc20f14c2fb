"""Masks from a COCO file: in each of its forms, of the right image, and nothing that does not fit is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.masks.from_coco import FromCoco
from regionflow.masks.options import FromCocoOptions

H, W = 40, 50
IMAGE = np.zeros((H, W, 3), np.uint8)


def square() -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[10:20, 5:30] = True
    return mask


def write(folder: Path, *records: dict, images: list[dict] | None = None, **more) -> FromCocoOptions:
    content = {
        "images": images or [{"id": 7, "file_name": "sub/a.jpg", "height": H, "width": W}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": i, "image_id": 7, "category_id": 3, **record} for i, record in enumerate(records)],
        **more,
    }
    path = folder / "masks.json"
    path.write_text(json.dumps(content))
    return FromCocoOptions(file=str(path))


FORMS = {
    "compressed": rle.encode(square()),
    "uncompressed": {"size": [H, W], "counts": rle.counts(rle.encode(square())).tolist()},
    "polygon": [[5, 10, 30, 10, 30, 20, 5, 20]],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("crowd", [0, 1])
def test_every_form_is_read(tmp_path, form, crowd):
    options = write(tmp_path, {"segmentation": FORMS[form], "iscrowd": crowd})
    (mask,) = FromCoco(options).generate_for(IMAGE, "sub/a")
    assert (rle.decode(mask["segmentation"]) == square()).all()
    assert mask["area"] == coco.area(mask["segmentation"]) and mask["source"] == "coco"
    assert (mask["category"], mask["coco_id"]) == ("cat", 0)
    assert (mask["predicted_iou"], mask["stability_score"]) == (1.0, 1.0)


def test_scores_are_kept_and_empty_masks_left_out(tmp_path):
    empty = rle.encode(np.zeros((H, W), bool))
    low, high = ({"segmentation": FORMS["compressed"], "score": score} for score in (0.3, 0.9))
    masks = FromCoco(write(tmp_path, low, {"segmentation": empty}, high)).generate_for(IMAGE, "sub/a")
    assert [mask["predicted_iou"] for mask in masks] == [0.9, 0.3]


@pytest.mark.parametrize(("image", "has"), [("sub/a", True), ("a", False), ("other/sub/a", False), ("sub/b", False)])
def test_an_image_is_found_by_its_id(tmp_path, image, has):
    assert bool(FromCoco(write(tmp_path, {"segmentation": FORMS["polygon"]})).generate_for(IMAGE, image)) == has


def test_a_name_without_folder_is_the_last_part_of_an_id_if_that_is_one_image(tmp_path):
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "x.png"}]
    options = write(tmp_path, {"segmentation": FORMS["polygon"]}, images=images)
    assert FromCoco(options).generate_for(IMAGE, "sub/a")
    assert not list(options.problems_with(["sub/a", "b"]))
    assert ["a may be any of p/a, q/a" in problem for problem in options.problems_with(["p/a", "q/a"])] == [True]
    told = list(options.told(["sub/a", "b"]))
    assert "nothing about 1 image(s)" in told[0] and told[0].endswith(": b")
    assert "1 image(s) that are not in the set: x.png" in told[1]


def test_a_file_about_other_images_is_a_problem(tmp_path):
    (problem,) = write(tmp_path).problems_with(["b", "c"])
    assert "has none of the images (b, c); it has sub/a.jpg" in problem


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"segmentation": rle.encode(np.ones((H, W + 1), bool))}, "annotation 0 has a mask of 40 x 51 pixels"),
        ({"segmentation": {"size": [H, W], "counts": [5, 5]}}, "annotation 0 .* do not add up to 40 x 50"),
        ({"segmentation": {"size": [H, W], "counts": "~~"}}, "annotation 0 has no usable segmentation"),
        ({"segmentation": []}, "annotation 0 has no usable segmentation"),
        ({"bbox": [1, 2, 3, 4]}, "annotation 0 has no usable segmentation"),
        ({"segmentation": [[0, 0, 1e9, 0, 5, 5]]}, "annotation 0 .* far out of the image"),
    ],
)
def test_masks_that_do_not_fit_are_refused_by_name(tmp_path, record, message):
    with pytest.raises(UserError, match=rf"masks\.json: sub/a\.jpg: {message}"):
        FromCoco(write(tmp_path, record)).generate_for(IMAGE, "sub/a")


def test_an_image_of_another_size_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"sub/a\.jpg has 40 x 50 pixels, the image 40 x 51"):
        FromCoco(write(tmp_path)).generate_for(np.zeros((H, W + 1, 3), np.uint8), "sub/a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a COCO instances file"),
        ("[]", "not a COCO instances file"),
        ('{"images": []}', "not a COCO instances file .no 'annotations'"),
        ('{"images": [], "annotations": [{"image_id": 4}]}', "annotations of images that it does not have"),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.png"}], "annotations": []}',
            "a.jpg and a.png are both image 'a'",
        ),
    ],
)
def test_what_is_no_coco_file_is_told_before_a_run(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        FromCoco(FromCocoOptions(file=str(path)))
    assert "bad.json" in next(FromCocoOptions(file=str(path)).problems())


def test_the_content_of_an_image_changes_with_its_annotations_alone(tmp_path):
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}]
    first, second = {"segmentation": FORMS["polygon"]}, {"segmentation": FORMS["compressed"], "image_id": 8}
    before = {image: write(tmp_path, first, second, images=images).content_of(image) for image in ("a", "b", "c")}
    changed = {**second, "segmentation": FORMS["polygon"]}
    after = {image: write(tmp_path, first, changed, images=images).content_of(image) for image in ("a", "b", "c")}
    assert [before[image] == after[image] for image in ("a", "b", "c")] == [True, False, True]
