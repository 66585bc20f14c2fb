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
