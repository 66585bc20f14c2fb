"""Clusters: sklearn's numbers, a fixed order, bounded reads, clear messages."""

import csv
import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_info, threadpool_limits
from torch.utils.data import DataLoader

from regionflow.formats.clusters import read_centres, read_clusters, write_clusters, write_comparison
from regionflow.formats.hdf5 import read_provenance, write_hdf5
from regionflow.formats.pooled import SetColumn
from regionflow.images.find import ImageEntry
from regionflow.labels import kmeans as clusters
from regionflow.labels.kmeans import TooFewRegions, fit, predict
from regionflow.labels.options import ClustersOptions
from regionflow.labels.splits import fit_parts


def blobs(n=400, k=5, channels=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (k, channels))
    truth = rng.integers(0, k, n)
    return (centres[truth] + rng.normal(0, 0.3, (n, channels))).astype(np.float32), truth


def test_separate_blobs_are_found_and_counted():
    features, truth = blobs()
    fitted = fit(features, ClustersOptions(k=5))
    cluster, distance = predict(features, fitted.centres)
    assert len({(c, t) for c, t in zip(cluster, truth, strict=True)}) == 5
    assert fitted.sizes.tolist() == np.bincount(cluster, minlength=5).tolist()
    assert fitted.inertia == pytest.approx(np.mean(distance**2))
    assert fitted.silhouette == pytest.approx(silhouette_score(features, cluster))


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
    assert (fit(features, options).centres == reference.cluster_centers_).all()


def test_reading_in_blocks_from_a_file_gives_the_same_centres(tmp_path, monkeypatch):
    features, _ = blobs(n=500)
    with write_hdf5(tmp_path / "x.h5", {}) as file:
        file["features"] = features
    stored = SetColumn(tmp_path / "x.h5")
    monkeypatch.setattr(clusters, "BLOCK_ROWS", 96)
    options = ClustersOptions(k=5, batch_size=50)
    in_memory = fit(features, options)
    from_file = fit(stored, options)
    assert (in_memory.centres == from_file.centres).all()
    assert sorted(in_memory.sizes.tolist()) == sorted(fit(features, options).sizes.tolist())


@pytest.mark.parametrize("rows", [0, 3])
def test_fewer_regions_than_clusters_is_said_with_both_numbers(rows):
    with pytest.raises(TooFewRegions, match=rf"^{rows} usable regions .*clusters\.k = 5"):
        fit(blobs()[0][:rows], ClustersOptions(k=5))


def test_rows_that_are_not_finite_are_left_out_and_have_no_cluster():
    features, _ = blobs()
    features[7] = np.nan
    features[9, 2] = np.inf
    fitted = fit(features, ClustersOptions(k=5))
    assert (fitted.regions, fitted.unusable) == (398, 2)
    cluster, _ = predict(features, fitted.centres)
    assert cluster[[7, 9]].tolist() == [-1, -1]
    assert (np.delete(cluster, [7, 9]) >= 0).all()


def test_exactly_as_many_regions_as_clusters_works_even_with_a_small_sample():
    features, _ = blobs(n=8)
    fitted = fit(features, ClustersOptions(k=8, init_regions=1))
    assert len(fitted.centres) == 8


def test_a_stored_fit_comes_back_with_its_provenance(tmp_path):
    fitted = fit(blobs()[0], ClustersOptions(k=5))
    write_clusters(tmp_path / "c.h5", fitted, {"stage": "clusters"})
    assert (read_centres(tmp_path / "c.h5") == fitted.centres).all()
    again = read_clusters(tmp_path / "c.h5")
    assert (again.inertia, again.silhouette, again.epochs) == (fitted.inertia, fitted.silhouette, fitted.epochs)
    assert read_provenance(tmp_path / "c.h5") == {"stage": "clusters"}


@pytest.mark.parametrize("text", [b"no HDF5 at all", None])
def test_a_model_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "model.h5"
    if text:
        path.write_bytes(text)
    else:
        h5py.File(path, "w").close()
    with pytest.raises(ValueError, match=r"model\.h5: not a file of fitted clusters"):
        read_centres(path)


def test_centres_of_another_extractor_are_refused():
    with pytest.raises(ValueError, match="6 channels, the cluster centres 4"):
        predict(blobs()[0], np.zeros((3, 4), np.float32))


def test_only_chosen_rows_are_fitted_and_counted():
    features, truth = blobs()
    features[truth == 0] += 500
    chosen = truth != 0
    features[np.flatnonzero(chosen)[:3]] = np.nan
    features[np.flatnonzero(~chosen)[:3]] = np.nan
    fitted = fit(features, ClustersOptions(k=4), [chosen])
    alone = fit(features[chosen], ClustersOptions(k=4))
    assert (fitted.centres == alone.centres).all()
    assert (fitted.regions, fitted.unusable) == (chosen.sum() - 3, 3)


def test_as_published_is_sklearns_plain_loop_over_the_stored_order():
    features, _ = blobs(n=300)
    reference = MiniBatchKMeans(5, batch_size=64, random_state=0, n_init="auto")
    for first in range(0, 300, 64):
        reference.partial_fit(features[first : first + 64].astype(np.float64))
    fitted = fit(features, ClustersOptions(k=5, batch_size=64, as_published=True))
    assert (fitted.centres == reference.cluster_centers_.astype(np.float32)).all()
    assert fitted.epochs == 1


def test_as_published_a_mini_batch_ends_at_the_end_of_each_split():
    """As main.py of ALPS does: for train, then val, a DataLoader(batch_size) without drop_last feeds partial_fit."""
    features = np.random.default_rng(0).normal(0, 1, (300, 6)).astype(np.float32)
    train = np.zeros(300, bool)
    train[[*range(40, 110), *range(200, 300)]] = True
    original = MiniBatchKMeans(n_clusters=5, random_state=0, batch_size=64, n_init="auto")
    for split in (features[train], features[~train]):
        for batch in DataLoader(torch.from_numpy(split[:, None]), batch_size=64, drop_last=False):
            original = original.partial_fit(np.squeeze(batch, 1))
    options = ClustersOptions(k=5, batch_size=64, as_published=True)
    fitted = fit(features, options, [train, ~train])
    np.testing.assert_allclose(fitted.centres, original.cluster_centers_, rtol=1e-7)
    assert fitted.regions == 300
    joined = fit(np.concatenate([features[train], features[~train]]), options)
    assert np.abs(joined.centres - fitted.centres).max() > 1e-4


def test_as_published_a_first_split_of_too_few_regions_is_said():
    features, _ = blobs(n=300)
    train = np.arange(300) < 3
    with pytest.raises(TooFewRegions, match=r"^3 usable regions in the first split .*clusters\.k = 5"):
        fit(features, ClustersOptions(k=5, as_published=True), [train, ~train])


def test_parts_of_the_fit_are_the_splits_in_the_order_asked():
    table = rows(train="ab", val="c", test="d")
    assert fit_parts(table, ["val", "train"]) == [{"c"}, {"a", "b"}]
    assert fit_parts(table) == [{"a", "b"}]
    assert fit_parts(rows(left="ab", val="c")) == [{"a", "b", "c"}]


def test_reassigned_centres_are_counted():
    rng = np.random.default_rng(0)
    # One far row takes a centre that hardly any later row is nearest to.
    features = np.concatenate([rng.normal(0, 1, (4000, 3)), np.full((1, 3), 1000.0)]).astype(np.float32)
    busy = fit(features, ClustersOptions(k=5, batch_size=500, max_epochs=10, tolerance=0))
    even = fit(blobs()[0], ClustersOptions(k=5, batch_size=100))
    assert busy.reassignments > 0
    assert even.reassignments == 0


def test_rows_that_are_all_equal_give_empty_clusters_and_no_silhouette():
    fitted = fit(np.ones((50, 3), np.float32), ClustersOptions(k=4))
    assert sorted(fitted.sizes.tolist()) == [0, 0, 0, 50]
    assert np.isnan(fitted.silhouette)


def test_the_comparison_has_one_line_per_k_in_their_order(tmp_path):
    features, _ = blobs()
    fits = [fit(features, ClustersOptions(k=[k, 9])) for k in (5, 3)]
    write_comparison(tmp_path / "comparison.tsv", fits)
    with (tmp_path / "comparison.tsv").open() as file:
        small, large = csv.DictReader(file, delimiter="\t")
    assert (small["k"], large["k"]) == ("3", "5")
    assert float(small["inertia"]) > float(large["inertia"]) == pytest.approx(fits[0].inertia, rel=1e-5)
    assert float(large["silhouette"]) == pytest.approx(fits[0].silhouette, abs=1e-4)
    assert (large["empty"], large["largest"]) == ("0", str(fits[0].sizes.max()))


def test_a_fit_ends_with_the_first_pass_that_moves_the_centres_by_less_than_the_tolerance():
    """The tolerance is a share of the spread of each channel, so far apart means of channels make no difference."""
    features = np.random.default_rng(1).normal([0, 150, 300, 450], 3, (600, 4)).astype(np.float32)
    steady = {"k": 4, "batch_size": 64}
    passes = [fit(features, ClustersOptions(**steady, max_epochs=n, tolerance=0)) for n in range(1, 7)]
    assert [fitted.epochs for fitted in passes] == [1, 2, 3, 4, 5, 6]
    centres = [kmeans_plusplus(features, 4, random_state=0)[0], *(fitted.centres for fitted in passes)]
    moved = np.array([np.sqrt(np.mean((b - a) ** 2)) for a, b in itertools.pairwise(centres)])
    moved /= np.sqrt(features.var(axis=0).mean())
    assert (np.diff(moved) < 0).all()
    for number, (above, below) in enumerate(itertools.pairwise(moved), 2):
        fitted = fit(features, ClustersOptions(**steady, tolerance=float(above * below) ** 0.5))
        assert fitted.epochs == number
        assert (fitted.centres == passes[number - 1].centres).all()
    assert fit(features, ClustersOptions(**steady, tolerance=float(moved[0]) * 1.01)).epochs == 1


def test_equal_rows_need_one_pass():
    assert fit(np.ones((50, 3), np.float32), ClustersOptions(k=2, tolerance=0)).epochs == 1


def test_sums_are_made_in_one_thread_whatever_the_machine_has(monkeypatch):
    """Else the order of the sums, and with it the last bits of the centres, would differ from machine to machine."""
    seen = []
    distances, step = clusters.pairwise_distances_argmin_min, clusters._step

    def note(original):
        def spy(*given):
            seen.append({library["num_threads"] for library in threadpool_info()})
            return original(*given)

        return spy

    monkeypatch.setattr(clusters, "pairwise_distances_argmin_min", note(distances))
    features, _ = blobs()
    with threadpool_limits(2):
        predict(features, features[:3])
        monkeypatch.setattr(clusters, "_step", note(step))
        fit(features, ClustersOptions(k=5))
    assert len(seen) > 2
    assert set().union(*seen) == {1}


@pytest.mark.parametrize("init_regions", [90, 5000])
def test_the_fit_starts_on_a_sample_over_the_whole_set(monkeypatch, init_regions):
    started = []
    monkeypatch.setattr(clusters, "BLOCK_ROWS", 100)
    monkeypatch.setattr(clusters, "kmeans_plusplus", lambda x, k, **given: started.append(x) or (x[:k], None))
    features = np.arange(1000, dtype=np.float32)[:, None] * [1, 0.5]
    fit(features, ClustersOptions(k=3, init_regions=init_regions, max_epochs=1))
    sample = started[0][:, 0]
    assert (np.diff(sample) > 0).all()  # each row once
    assert abs(len(sample) - min(1000, init_regions)) < 40
    assert len(set(sample // 100)) == 10


def test_a_sample_that_misses_is_filled_with_the_first_rows(monkeypatch):
    started = []
    start = clusters.kmeans_plusplus
    monkeypatch.setattr(clusters, "kmeans_plusplus", lambda x, k, **given: started.append(x) or start(x, k, **given))
    features, _ = blobs(n=40)
    fit(features, ClustersOptions(k=7, init_regions=2, max_epochs=1))
    sample = started[0]
    assert 7 <= len(sample) < 7 + 7
    assert (sample[-7:] == features[:7]).all()


def test_as_published_a_first_split_of_exactly_as_many_regions_will_do():
    features, _ = blobs(n=300)
    first = np.arange(300) < 5
    assert fit(features, ClustersOptions(k=5, as_published=True), [first, ~first]).regions == 300


def test_as_published_too_reassigned_centres_are_counted():
    near = np.random.default_rng(0).normal(0, 1, (4000, 3))
    features = np.concatenate([np.full((1, 3), 1000.0), near]).astype(np.float32)
    assert fit(features, ClustersOptions(k=5, batch_size=100, as_published=True)).reassignments > 0


def test_two_clusters_have_a_silhouette_and_rows_that_are_all_alone_have_none():
    two = np.repeat(np.float32([[0, 0], [9, 9]]), 4, axis=0) + np.float32([[0, 0.1], [0.1, 0]] * 4)
    fitted = fit(two, ClustersOptions(k=2))
    assert fitted.silhouette == pytest.approx(silhouette_score(two, [0] * 4 + [1] * 4))
    alone = fit(np.float32([[0, 0], [9, 9], [0, 99]]), ClustersOptions(k=3))
    assert alone.sizes.tolist() == [1, 1, 1]
    assert np.isnan(alone.silhouette)
    assert alone.inertia == 0


def test_the_silhouette_is_that_of_rows_drawn_from_the_whole_sample(monkeypatch):
    seen = []
    monkeypatch.setattr(clusters, "SILHOUETTE_ROWS", 50)
    monkeypatch.setattr(clusters, "silhouette_score", lambda x, labels: seen.append(x) or 0.5)
    features, _ = blobs(n=400)
    assert fit(features, ClustersOptions(k=5)).silhouette == 0.5
    places = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in seen[0]]
    assert len(places) == 50
    assert places == sorted(places)
    assert places[0] < 40 and places[-1] >= 360


def test_the_silhouette_is_that_of_two_thousand_rows_at_most(monkeypatch):
    seen = []
    monkeypatch.setattr(clusters, "silhouette_score", lambda x, labels: seen.append(len(x)) or 0.5)
    for n in (1999, 2000, 2001, 2500):
        fit(blobs(n=n)[0], ClustersOptions(k=5, max_epochs=1))
    assert seen == [1999, 2000, 2000, 2000]


def rows(**splits):
    return {i: ImageEntry(Path(i), split) for split, ids in splits.items() for i in ids}


@pytest.mark.parametrize(
    ("table", "splits", "expected"),
    [
        (rows(train="ab", val="c"), None, "ab"),
        (rows(train="ab", val="c"), ["val", "train"], "abc"),
        (rows(left="ab", val="c"), None, "abc"),
        (rows(**{"": "a"}), None, "a"),
    ],
)
def test_images_of_the_fit(table, splits, expected):
    assert set().union(*fit_parts(table, splits)) == set(expected)


def test_a_split_that_no_image_has_is_named():
    with pytest.raises(ValueError, match=r"no image has the split tran \(the set has: train, val\)"):
        fit_parts(rows(train="ab", val="c"), ["tran"])
