"""More than 65,535 labels: a label map never wraps."""

import numpy as np
import pytest
from PIL import Image

from regionflow.base.errors import UserError
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.formats.rle import decode, from_label_map, to_label_map
from regionflow.superpixels.slic import superpixel_annotations


@pytest.mark.parametrize("highest", [0, 255, 65_535, 65_536, 90_000, 2**24 - 1])
def test_every_label_comes_back(tmp_path, highest):
    labels = np.linspace(0, highest, 6 * 7).astype(np.int64).reshape(6, 7)
    write_label_map(tmp_path / "x.png", labels, "x")
    assert (read_label_map(tmp_path / "x.png") == labels).all()
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == ("RGB" if highest > 65_535 else "I;16")


def test_large_labels_are_coded_as_coco_panoptic_codes_them(tmp_path):
    write_label_map(tmp_path / "x.png", np.array([[70_000, 1]]), "x")
    with Image.open(tmp_path / "x.png") as image:
        red, green, blue = np.asarray(image)[0, 0].astype(int)
    assert red + 256 * green + 65_536 * blue == 70_000


@pytest.mark.parametrize("labels", [[[0, 2**24]], [[-1, 3]]])
def test_what_has_no_code_is_refused(tmp_path, labels):
    with pytest.raises(UserError, match=r"x\.png: a label map holds labels from 0 to 16777215"):
        write_label_map(tmp_path / "x.png", np.array(labels), "x")
    assert not (tmp_path / "x.png").exists()


def test_more_than_65_535_superpixels_stay_apart(tmp_path):
    labels = np.arange(260 * 260).reshape(260, 260)
    write_label_map(tmp_path / "x.png", labels, "x")
    back = read_label_map(tmp_path / "x.png")
    assert len(np.unique(back)) == 67_600
    regions = superpixel_annotations(back)
    assert len(regions) == 67_600
    assert all(region["area"] == 1 for region in regions)


def test_painting_more_than_65_535_values():
    masks = from_label_map(np.arange(4).reshape(2, 2))
    painted = to_label_map(list(masks.values()), [1, 65_535, 65_536, 70_000], 2, 2)
    assert painted.tolist() == [[1, 65_535], [65_536, 70_000]]
    assert to_label_map(list(masks.values()), [1, 2, 3, 65_535], 2, 2).dtype == np.uint16
    assert decode(masks[3]).sum() == 1
