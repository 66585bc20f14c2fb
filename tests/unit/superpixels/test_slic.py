"""SLIC is skimage's own, and the regions are the label map."""

import numpy as np
import pytest
from skimage.segmentation import slic

from regionflow.formats import rle
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.superpixels.options import SlicOptions
from regionflow.superpixels.slic import slic_labels, superpixel_annotations


def photo(height=60, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("changes", [{}, {"n_segments": 7}, {"compactness": 30.0}, {"min_size_factor": 0.6}])
def test_labels_are_skimages(changes):
    options = SlicOptions(**changes)
    arguments = {
        "n_segments": 50, "compactness": 8.0, "max_num_iter": 10, "sigma": 0, "min_size_factor": 0.25,
        "max_size_factor": 3.0, "enforce_connectivity": True, "start_label": 0, "channel_axis": -1,
    }  # fmt: skip
    assert (slic_labels(photo(), options) == slic(photo(), **(arguments | changes))).all()


def test_regions_are_the_label_map():
    labels = slic_labels(photo(), SlicOptions())
    for a in superpixel_annotations(labels):
        assert (rle.decode(a["segmentation"]) == (labels == a["label"])).all()
    assert sum(a["area"] for a in superpixel_annotations(labels)) == labels.size


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 500), (2, 2)])
def test_small_images_have_no_more_superpixels_than_pixels(shape):
    labels = slic_labels(photo(*shape), SlicOptions())
    assert labels.shape == shape
    assert labels.min() == 0


def test_png_round_trip_keeps_labels_above_255(tmp_path):
    labels = np.arange(60 * 80).reshape(60, 80)
    write_label_map(tmp_path / "x.png", labels, "x")
    assert (read_label_map(tmp_path / "x.png") == labels).all()


def test_superpixels_of_a_smaller_copy_have_the_borders_of_the_image():
    """Four flat quarters: from a copy of a ninth of the pixels they are found to within a pixel of the copy."""
    image = np.zeros((120, 180, 3), np.uint8)
    image[:60, :90], image[60:, 90:] = (200, 30, 30), (30, 30, 200)
    options = SlicOptions(n_segments=4, compactness=1.0, max_megapixels=image[..., 0].size / 9e6)
    labels = slic_labels(image, options)
    assert labels.shape == (120, 180) and labels.dtype == np.int64
    assert np.unique(labels).tolist() == [0, 1, 2, 3]
    for rows, columns in ((slice(0, 57), slice(0, 87)), (slice(63, 120), slice(93, 180))):
        assert len(np.unique(labels[rows, columns])) == 1
    assert (slic_labels(image, SlicOptions(max_megapixels=1.0)) == slic_labels(image, SlicOptions())).all()


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (2, 900)])
def test_strips_beyond_max_megapixels(shape):
    labels = slic_labels(photo(*shape), SlicOptions(max_megapixels=1e-4))
    assert labels.shape == shape and labels.min() == 0
