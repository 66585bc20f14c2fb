"""Masks of ground truth come from anywhere: what native code would hang or crash on is refused by name."""

import json
from pathlib import Path

import pytest

from regionflow.evaluate.options import CocoTruth
from regionflow.evaluate.truth import TruthError, open_truth
from regionflow.formats import rle

HEIGHT, WIDTH = 6, 8


def read(path: Path, segmentation: object) -> rle.Rle:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "sky"}],
    }
    path.write_text(json.dumps(content))
    truth = open_truth(CocoTruth(type="coco", file=str(path)), ["a"])
    return truth.image("a", HEIGHT, WIDTH).regions[0].mask


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [6, 8], "counts": ""},
        {"size": [6, 8], "counts": "ooooooooooooooooo"},
        {"size": [6, 8], "counts": "\x00"},
        {"size": [6, 8], "counts": "00"},
        {"size": [6, 8], "counts": [-5, 53]},
        {"size": [6, 8], "counts": [10, 10]},
        {"size": [6, 8], "counts": [2**40]},
        {"size": [-6, -8], "counts": [48]},
        [[0, 0, 1e12, 0, 0, 1e12]],
        [[0, 0, float("nan"), 0, 0, 3]],
        [[0, 0, float("inf"), 0, 0, 3]],
    ],
    ids=repr,
)
def test_impossible_masks_are_named(tmp_path: Path, segmentation: object) -> None:
    with pytest.raises(TruthError, match=r"truth\.json.*annotation 7|truth\.json.*pixels"):
        read(tmp_path / "truth.json", segmentation)


def test_the_three_forms_are_read(tmp_path: Path) -> None:
    runs = rle.from_runs([6, 12, 30], HEIGHT, WIDTH)
    assert read(tmp_path / "truth.json", {"size": [6, 8], "counts": [6, 12, 30]}) == runs
    assert read(tmp_path / "truth.json", dict(runs)) == runs
    assert rle.area(read(tmp_path / "truth.json", [[1, 1, 4, 1, 4, 3, 1, 3]])) == 6
