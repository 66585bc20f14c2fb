"""More than 65,535 labels, more pixels than Pillow likes: a label map never wraps and is always read."""

import numpy as np
import pytest
from PIL import Image

from regionflow.base.errors import UserError
from regionflow.exports import named
from regionflow.exports.colour_maps import write_colour_map
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.formats.palette import palette
from regionflow.formats.rle import decode, from_label_map, to_label_map
from regionflow.superpixels.slic import superpixel_annotations
from regionflow.verify import files, verify


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


def test_the_ids_of_a_panoptic_picture_never_wrap(tmp_path, monkeypatch):
    for highest, fits in ((2**24 - 1, True), (2**24, False)):
        monkeypatch.setattr(named, "segments", lambda image, highest=highest: (np.array([[0, 70_000, highest]]), []))
        if fits:
            named.write_panoptic_map(tmp_path / "x.png", None)
            pixels = np.asarray(Image.open(tmp_path / "x.png")).astype(int)
            assert (pixels @ [1, 256, 65_536]).tolist() == [[0, 70_000, highest]]
        else:
            with pytest.raises(UserError, match=r"x\.png: a panoptic picture holds ids up to 16777215, not 16777216"):
                named.write_panoptic_map(tmp_path / "x.png", None)


@pytest.mark.parametrize("k", [3, 255, 300, 70_000])
def test_a_value_without_a_colour_is_refused(tmp_path, k):
    write_colour_map(tmp_path / "x.png", np.array([[0, k]]), k)
    assert (tmp_path / "x.png").exists()
    with pytest.raises(UserError, match=rf"y\.png: the label map has the value {k + 1}, and there are {k} clusters"):
        write_colour_map(tmp_path / "y.png", np.array([[0, k + 1]]), k)


@pytest.mark.parametrize("k", [3, 255, 300])
def test_a_coloured_map_shows_each_cluster_in_its_colour_and_reads_as_values(tmp_path, k):
    labels = np.array([[0, 1, 2, k]])
    write_colour_map(tmp_path / "x.png", labels, k)
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == ("P" if k <= 255 else "RGB")
        if k <= 255:
            assert (np.asarray(image) == labels).all()
        shown = np.asarray(image.convert("RGB"))[0]
    assert shown.tolist() == [[0, 0, 0], *palette(k)[[0, 1, k - 1]].tolist()]


def test_a_map_of_more_pixels_than_pillow_takes_is_read(tmp_path, monkeypatch):
    write_label_map(tmp_path / "labels/e/r/x.png", np.ones((6, 7), int), "x")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow refuses more than twice this
    assert (read_label_map(tmp_path / "labels/e/r/x.png", "x") == 1).all()
    write_colour_map(tmp_path / "colour_maps/e/r/x.png", np.ones((6, 7), int), 2)
    assert [path.name for path in files(tmp_path)] == ["x.png", "x.png"]
    assert verify(tmp_path) == []
    assert Image.MAX_IMAGE_PIXELS == 10
