"""Clusters: sklearn's numbers, a fixed order, bounded reads, clear messages."""

import h5py
import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

from regionflow import clusters
from regionflow.clusters import TooFewRegions
from regionflow.config.types import ClustersOptions


def blobs(n=400, k=5, channels=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (k, channels))
    truth = rng.integers(0, k, n)
    return (centres[truth] + rng.normal(0, 0.3, (n, channels))).astype(np.float32), truth


def test_separate_blobs_are_found_and_counted():
    features, truth = blobs()
    fitted = clusters.fit(features, ClustersOptions(k=5))
    cluster, distance = clusters.predict(features, fitted.centres)
    assert len({(c, t) for c, t in zip(cluster, truth, strict=True)}) == 5
    assert fitted.sizes.tolist() == np.bincount(cluster, minlength=5).tolist()
    assert fitted.inertia == pytest.approx(np.mean(distance**2))


def test_one_pass_is_sklearns_partial_fit_in_the_same_order():
    features, _ = blobs(n=300)
    options = ClustersOptions(k=5, max_epochs=1, batch_size=64, seed=3)
    start, _ = kmeans_plusplus(features, 5, random_state=3)
    reference = MiniBatchKMeans(5, init=start, n_init=1, batch_size=64, random_state=3)
    order = np.arange(300)
    rng = np.random.default_rng([3, 1])
    rng.shuffle(np.arange(1))
    rng.shuffle(order)
    for first in range(0, 300, 64):
        reference.partial_fit(features[order[first : first + 64]])
    assert (clusters.fit(features, options).centres == reference.cluster_centers_).all()


def test_reading_in_blocks_from_a_file_gives_the_same_centres(tmp_path, monkeypatch):
    features, _ = blobs(n=500)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"] = features
    monkeypatch.setattr(clusters, "BLOCK_ROWS", 96)
    options = ClustersOptions(k=5, batch_size=50)
    in_memory = clusters.fit(features, options)
    with h5py.File(tmp_path / "x.h5") as file:
        from_file = clusters.fit(file["features"], options)
    assert (in_memory.centres == from_file.centres).all()
    assert sorted(in_memory.sizes.tolist()) == sorted(clusters.fit(features, options).sizes.tolist())


@pytest.mark.parametrize("rows", [0, 3])
def test_fewer_regions_than_clusters_is_said_with_both_numbers(rows):
    with pytest.raises(TooFewRegions, match=rf"^{rows} usable regions .*clusters\.k = 5"):
        clusters.fit(blobs()[0][:rows], ClustersOptions(k=5))


def test_rows_that_are_not_finite_are_left_out_and_have_no_cluster():
    features, _ = blobs()
    features[7] = np.nan
    features[9, 2] = np.inf
    fitted = clusters.fit(features, ClustersOptions(k=5))
    assert (fitted.regions, fitted.unusable) == (398, 2)
    cluster, _ = clusters.predict(features, fitted.centres)
    assert cluster[[7, 9]].tolist() == [-1, -1]
    assert (np.delete(cluster, [7, 9]) >= 0).all()


def test_exactly_as_many_regions_as_clusters_works_even_with_a_small_sample():
    features, _ = blobs(n=8)
    fitted = clusters.fit(features, ClustersOptions(k=8, init_regions=1))
    assert len(fitted.centres) == 8


def test_stored_centres_come_back_with_their_provenance(tmp_path):
    fitted = clusters.fit(blobs()[0], ClustersOptions(k=5))
    clusters.write(tmp_path / "c.h5", fitted, {"stage": "clusters"})
    assert (clusters.read_centres(tmp_path / "c.h5") == fitted.centres).all()
    with h5py.File(tmp_path / "c.h5") as file:
        assert file.attrs["provenance"] == '{"stage":"clusters"}'
