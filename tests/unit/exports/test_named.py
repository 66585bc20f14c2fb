"""Panoptic segments: what is seen of each thing, all of a kind of stuff, and what has a class without a region."""

from pathlib import Path

import numpy as np
import pytest

from regionflow.exports.named import NamedImage, segments
from regionflow.formats import rle
from regionflow.formats.images import ImageRow
from regionflow.formats.labels import write_label_map
from regionflow.formats.regions import Generator, ImageInfo, annotation, read_regions, write_regions
from regionflow.formats.semantics import RegionClass, Semantics

HEIGHT, WIDTH = 6, 8
BOXES = [(0, 0, 3, 4), (0, 4, 3, 2), (1, 1, 1, 1), (3, 0, 1, 8)]
VALUES = [1, 2, 1, 0]


def box(y: int, x: int, h: int, w: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + h, x : x + w] = True
    return mask


@pytest.fixture
def image(tmp_path: Path) -> NamedImage:
    """Two regions of class 1, one in the other; one of class 2, one of none; and a row of class 2 without a region."""
    info, generator = ImageInfo("a", "a.jpg", HEIGHT, WIDTH), Generator("test", {})
    write_regions(tmp_path / "a.json", info, [annotation(rle.encode(box(*b)), "mask") for b in BOXES], generator)
    labels = np.zeros((HEIGHT, WIDTH), int)
    labels[5] = 2
    write_label_map(tmp_path / "a.png", labels, "a")
    classes = [RegionClass(f"a_region_{i}", value, 0.5, [], "scores") for i, value in enumerate(VALUES)]
    semantics = Semantics(info, ["cup", "sky"], classes, {}, generator, things=[True, False])
    row = ImageRow("a", "a.jpg", "", HEIGHT, WIDTH, "", "ok", "", "", 0, 0)
    return NamedImage(row, read_regions(tmp_path / "a.json"), semantics, tmp_path / "a.png")


def test_every_segment_has_its_class_and_its_pixels(image: NamedImage) -> None:
    ids, records = segments(image)
    expected = {}
    for record in records:
        mask = ids == record["id"]
        assert (record["area"], record["bbox"]) == (mask.sum(), rle.bbox(rle.encode(mask)))
        expected[record["id"]] = record["category_id"]
    assert set(np.unique(ids)) - {0} == expected.keys()
    things = [box(*BOXES[0]) & ~box(*BOXES[2]), box(*BOXES[2])]
    stuff = box(*BOXES[1]) | box(5, 0, 1, 8)
    for mask, category in ((things[0], 1), (things[1], 1), (stuff, 2)):
        (segment,) = np.unique(ids[mask])
        assert ((ids == segment) == mask).all()
        assert expected[segment] == category
    assert (ids[box(*BOXES[3])] == 0).all()
