"""ALPS's vector as its code defines it, written out pixel by pixel."""

import numpy as np
import pytest
import yaml

from helpers.workflow import ROOT
from regionflow.config.load import load_config
from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.pool import pool

ALPS = PoolingOptions(method="alps")


def feature_map(features, image):
    cells = features.shape[1]
    return FeatureMap(features, Geometry.resize_into_square(*image, size=16 * cells, multiple=16))


def test_a_mask_of_the_whole_image_has_the_mean_of_the_features():
    features = np.full((3, 4, 4), 2.5, np.float32)
    mask = rle.encode(np.ones((20, 20), bool))
    assert pool(feature_map(features, (20, 20)), [mask], ALPS).features[0] == pytest.approx(2.5)


def test_soft_edges_count_fully_and_zero_products_do_not():
    # One feature cell per 16 x 16 pixels, four fine cells of 4 x 4 in it; the mask is the left 34 of 64 columns.
    mask = np.zeros((64, 64), bool)
    mask[:, :34] = True
    features = np.stack([np.full((4, 4), 3.0), np.zeros((4, 4))]).astype(np.float32)
    # Fine cell 8 has its centre between the pixel columns 33 (in the mask) and 34 (out of it): weight 1/2.
    expected = 3.0 * (8 + 0.5) / 9
    assert pool(feature_map(features, (64, 64)), [rle.encode(mask)], ALPS).features[0] == pytest.approx([expected, 0])


def test_an_empty_mask_has_the_zero_vector():
    empty = rle.encode(np.zeros((64, 64), bool))
    found = pool(feature_map(np.ones((2, 4, 4), np.float32), (64, 64)), [empty], ALPS)
    assert found.features.tolist() == [[0, 0]]


@pytest.mark.parametrize("files", [["alps"], ["alps", "alps_as_published"]])
def test_the_presets_are_valid_and_say_what_alps_says(files):
    values = {}
    for name in files:
        values |= yaml.safe_load((ROOT / f"config/presets/{name}.yaml").read_text())
    config = load_config(values)
    published = "alps_as_published" in files
    assert config.regions["alps"].max_area_fraction == 0.3
    assert config.clusters.as_published == published
    assert config.pooling.method == ("alps" if published else "average")
    if not published:
        assert (config.clusters.k, config.clusters.batch_size, config.clusters.seed) == (46, 512, 0)


def test_boxes_are_refused_by_number() -> None:
    geometry = Geometry.pad_to_multiple(16, 16, 8)
    feature_map = FeatureMap(np.ones((2, 2, 2), np.float32), geometry)
    regions = [rle.encode(np.ones((16, 16), bool)), (1.0, 1.0, 4.0, 4.0)]
    with pytest.raises(ValueError, match="region 1 is a box"):
        pool(feature_map, regions, PoolingOptions(method="alps"))
