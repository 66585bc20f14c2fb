"""Mask files: what is written is read, and a record that does not fit its mask or its image is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.signed import change_json
from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.regions import (
    Generator,
    ImageInfo,
    RegionFile,
    annotation,
    masks_of,
    read_regions,
    region_id,
    same_image,
    write_regions,
)

IMAGE = ImageInfo("sub/a", "sub/a.jpg", 6, 8)
MADE_BY = Generator("masks", {"segmenter": {"type": "graph"}}, "ab")


def square(top: int, left: int) -> rle.Rle:
    mask = np.zeros((6, 8), bool)
    mask[top : top + 3, left : left + 2] = True
    return rle.encode(mask)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    records = [annotation(square(0, 1), "graph", predicted_iou=0.5), annotation(square(2, 4), "slic")]
    write_regions(tmp_path / "a.json", IMAGE, records, MADE_BY)
    return tmp_path / "a.json"


def test_what_is_written_is_read(written: Path) -> None:
    file = read_regions(written, "sub/a")
    assert (file.image, file.generator, file.size) == (IMAGE, MADE_BY, (6, 8))
    assert masks_of(file) == [square(0, 1), square(2, 4)]
    assert file.annotations[0] == {
        **{"id": 0, "region_id": "sub/a_region_0", "source": "graph", "area": 6, "bbox": [1, 0, 2, 3]},
        **{"segmentation": square(0, 1), "predicted_iou": 0.5},
    }
    assert [record["region_id"] for record in file.annotations] == [region_id("sub/a", i) for i in (0, 1)]
    assert file.sha256 in written.read_text()


def test_an_unreadable_image_says_why_and_a_readable_one_has_no_such_key(written: Path) -> None:
    assert '"error"' not in written.read_text()
    write_regions(written, ImageInfo("a", "a.jpg", 0, 0, "damaged: x"), [], MADE_BY)
    assert read_regions(written).image.error == "damaged: x"


def set_size(content: Any, height: int, width: int) -> None:
    content["image"] |= {"height": height, "width": width}


def set_record(content: Any, number: int, **values: Any) -> None:
    content["annotations"][number] |= values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: set_size(c, 8, 6), "mask 0 is of 6 x 8 pixels, its image of 8 x 6"),
        (lambda c: set_size(c, 6, 9), "mask 0 is of 6 x 8 pixels"),
        (lambda c: set_record(c, 1, segmentation=rle.encode(np.ones((8, 6), bool))), "mask 1 is of 8 x 6 pixels"),
        (lambda c: set_record(c, 1, area=7), "area and box of record 1"),
        (lambda c: set_record(c, 0, bbox=[1, 0, 2, 4]), "area and box of record 0"),
        (lambda c: set_record(c, 0, bbox=[1, 0, 2]), "area and box of record 0"),
        (lambda c: set_record(c, 1, id=2), "record 1 is called 'sub/a_region_1'"),
        (lambda c: set_record(c, 1, region_id="a_region_1"), "record 1 is called 'a_region_1'"),
        (lambda c: set_record(c, 0, source=None), "the source of record 0 is no text"),
        (lambda c: c["annotations"][0].pop("source"), "'source'"),
        (lambda c: c.pop("generator"), "'generator'"),
        (lambda c: c["image"].pop("height"), "height"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_by_name(written: Path, change: Any, said: str) -> None:
    change_json(written, change)
    with pytest.raises(BadFile, match=f"a.json: not a mask file.*{said}") as error:
        read_regions(written)
    assert error.value.unsound


def test_the_file_of_another_image_is_refused(written: Path) -> None:
    with pytest.raises(BadFile, match="it is of image 'sub/a', not of 'sub/b'"):
        read_regions(written, "sub/b")


@pytest.mark.parametrize(
    "other", [ImageInfo("b", "", 6, 8), ImageInfo("sub/a", "", 7, 8), ImageInfo("sub/a", "", 6, 7)]
)
def test_files_of_different_images_or_sizes_do_not_go_together(other: ImageInfo) -> None:
    one, made_by = RegionFile(IMAGE, [], MADE_BY), Generator("superpixels", {})
    assert same_image([one, one]) == IMAGE
    for files in ([one, RegionFile(other, [], made_by)], [one, one, RegionFile(other, [], made_by)]):
        with pytest.raises(BadFile) as error:
            same_image(files)
        assert str(error.value) == (
            f"sub/a: masks saw 6 x 8 pixels, superpixels {other.height} x {other.width} of {other.image_id}; "
            "delete both files"
        )


def test_the_image_is_that_of_the_first_file() -> None:
    renamed = ImageInfo("sub/a", "a.png", 6, 8)
    assert same_image([RegionFile(IMAGE, [], MADE_BY), RegionFile(renamed, [], MADE_BY)]) == IMAGE
