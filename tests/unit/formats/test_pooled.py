"""Pooled files: per image, and the set, which holds every row itself."""

import h5py
import numpy as np
import pytest

from helpers.signed import change_hdf5
from regionflow.base.errors import BadFile
from regionflow.formats import pooled
from regionflow.formats.hdf5 import write_hdf5
from regionflow.formats.pooled import (
    SetColumn,
    check_pooled_set,
    image_ids,
    read_pooled,
    regions_checksums,
    rows_of,
    write_pooled,
    write_pooled_set,
)
from regionflow.formats.regions import ImageInfo


def annotations(n, image="x"):
    return [
        {"id": i, "region_id": f"{image}_region_{i}", "area": 10 + i, "bbox": [i, 0, 5, 2], "source": "sam"}
        for i in range(n)
    ]


def image_file(root, image, n, *, channels=3, error=None, rows=None):
    path = root / "set" / f"{image}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    features = np.random.default_rng(n).random((n, channels), np.float32)
    info = ImageInfo(image, f"{image}.jpg", 20, 30)
    about = {"image": info, "regions_sha256": "0" * 64, "provenance": {"stage": "pooled"}, "error": error}
    write_pooled(path, features, annotations(rows or n, image), ["pooled"] * (rows or n), **about)
    return path, features


def test_round_trip(tmp_path):
    path, features = image_file(tmp_path, "a", 4)
    found = read_pooled(path)
    assert (found.features == features).all()
    assert found.regions.tolist() == [0, 1, 2, 3]


def test_the_set_is_all_rows_in_order_seen_from_any_folder(tmp_path, monkeypatch):
    made = {name: image_file(tmp_path, name, n) for name, n in (("b/deep", 2), ("none", 0), ("100%b %cent", 3))}
    write_pooled_set(tmp_path / "set.h5", {k: p for k, (p, _) in made.items()}, {"stage": "pooled_set"})
    monkeypatch.chdir("/")
    (tmp_path / "set.h5").rename(tmp_path / "renamed.h5")
    with h5py.File(tmp_path / "renamed.h5") as file:
        assert (file["features"][:] == np.concatenate([f for _, f in made.values()])).all()
        assert file["image"][:].tolist() == [0, 0, 2, 2, 2]
        assert file["image_ids"].asstr()[:].tolist() == ["b/deep", "none", "100%b %cent"]
        assert file["region"][:].tolist() == [0, 1, 0, 1, 2]
        assert file["bbox"][3].tolist() == [1, 0, 5, 2]
        assert file["area"][4] == 12


def test_the_set_does_not_need_the_files_that_it_was_made_of(tmp_path):
    made = {name: image_file(tmp_path, name, 2) for name in "ab"}
    write_pooled_set(tmp_path / "set.h5", {name: path for name, (path, _) in made.items()}, {})
    for path, _ in made.values():
        path.unlink()
    assert (SetColumn(tmp_path / "set.h5")[:] == np.concatenate([features for _, features in made.values()])).all()


def test_blocks_are_put_together_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(pooled, "BLOCK_ROWS", 5)
    made = {f"i{n}": image_file(tmp_path, f"i{n}", n) for n in (2, 4, 0, 7, 1)}
    write_pooled_set(tmp_path / "set.h5", {name: path for name, (path, _) in made.items()}, {})
    assert (SetColumn(tmp_path / "set.h5")[:] == np.concatenate([features for _, features in made.values()])).all()
    assert SetColumn(tmp_path / "set.h5", "image")[:].tolist() == [0] * 2 + [1] * 4 + [3] * 7 + [4]


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [((2, 4, 0, 7, 1), [6, 7, 1]), ((5, 4, 1), [5, 5]), ((5, 5), [5, 5]), ((4, 1), [5]), ((0,), [])],
)
def test_a_set_is_written_as_many_rows_at_a_time_as_make_a_block(tmp_path, monkeypatch, sizes, blocks):
    """No more, for the memory; no fewer, as HDF5 is slow with a few rows."""
    monkeypatch.setattr(pooled, "BLOCK_ROWS", 5)
    written = []
    original = pooled._append

    def spy(file, name, values):
        written.extend([len(values)] if name == "region" else [])
        original(file, name, values)

    monkeypatch.setattr(pooled, "_append", spy)
    made = {f"i{number}": image_file(tmp_path, f"i{number}", n)[0] for number, n in enumerate(sizes)}
    write_pooled_set(tmp_path / "set.h5", made, {})
    assert written == blocks


def test_a_set_without_regions_is_empty(tmp_path):
    path, _ = image_file(tmp_path, "a", 0, channels=0, error="unreadable")
    write_pooled_set(tmp_path / "set.h5", {"a": path}, {})
    with h5py.File(tmp_path / "set.h5") as file:
        assert file["features"].shape == (0, 0)
    assert read_pooled(path).error == "unreadable"


def test_damaged_and_mixed_files_are_named(tmp_path):
    path, _ = image_file(tmp_path, "a", 2)
    other, _ = image_file(tmp_path, "b", 2, channels=5)
    with pytest.raises(BadFile, match=r"\[3, 5\] channels"):
        write_pooled_set(tmp_path / "set.h5", {"a": path, "b": other}, {})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadFile, match=r"a\.h5: not a file of region features"):
        read_pooled(path)
    with pytest.raises(BadFile, match=r"a\.h5: not a file of region features"):
        write_pooled_set(tmp_path / "set.h5", {"a": path}, {})


def test_rows_must_match(tmp_path):
    with pytest.raises(ValueError, match="3 feature rows, 2 regions"):
        image_file(tmp_path, "x", 3, rows=2)


def test_rows_taken_block_by_block_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pooled, "BLOCK_ROWS", 4)
    features = np.arange(33, dtype=np.float32).reshape(11, 3)
    with write_hdf5(tmp_path / "x.h5", {}) as file:
        file["features"] = features
    column = SetColumn(tmp_path / "x.h5")
    rows = np.array([0, 3, 4, 9, 10])
    assert (column.take(rows) == features[rows]).all()
    assert column.take(rows[:0]).shape == (0, 3)
    assert (column[2:7] == features[2:7]).all()


def test_everything_about_a_region_is_read_back(tmp_path):
    info = ImageInfo("sub/x", "sub/x.jpg", 20, 30)
    features = np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32)
    states = ["pooled", "nan", "nearest"]
    about = {"image": info, "regions_sha256": "7" * 64, "provenance": {"stage": "pooled"}}
    write_pooled(tmp_path / "x.h5", features, annotations(3, "sub/x"), states, **about)
    found = read_pooled(tmp_path / "x.h5", "sub/x", "7" * 64)
    assert np.array_equal(found.features, features, equal_nan=True) and found.features.dtype == np.float32
    assert (found.image_id, found.size, found.regions_sha256, found.error) == ("sub/x", (20, 30), "7" * 64, None)
    assert (found.regions.tolist(), found.area.tolist()) == ([0, 1, 2], [10, 11, 12])
    assert found.bbox.tolist() == [[0, 0, 5, 2], [1, 0, 5, 2], [2, 0, 5, 2]]
    assert found.status == states
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["source"].asstr()[:].tolist() == ["sam"] * 3
        axes = {name: [axis.label for axis in file[name].dims] for name in file}
    assert axes["features"] == ["region", "channel"]
    assert axes["bbox"] == ["region", "x, y, width, height"]
    assert all(axes[name] == ["region"] for name in ("region", "area", "source", "status"))


def test_features_of_another_image_or_of_other_regions_are_refused(tmp_path):
    path, _ = image_file(tmp_path, "a", 2)
    with pytest.raises(BadFile, match="it is of image 'a', not of 'b'"):
        read_pooled(path, "b")
    with pytest.raises(BadFile, match=r"a\.h5: it was pooled over another version of the image's region file; delete"):
        read_pooled(path, "a", "1" * 64)
    change_hdf5(path, lambda file: file["region"].__setitem__(1, 5))
    with pytest.raises(BadFile, match=r"a\.h5: .*its region ids are not those of its image"):
        read_pooled(path)


def test_values_that_are_not_finite_are_refused_with_the_first_row(tmp_path):
    path, _ = image_file(tmp_path, "a", 4)
    change_hdf5(path, lambda file: file["features"].__setitem__((slice(1, 3), 0), [np.nan, np.inf]))
    change_hdf5(path, lambda file: file["status"].__setitem__(2, b"nearest"))
    with pytest.raises(BadFile, match="features of row 1 are not finite, but its status is 'pooled'"):
        read_pooled(path)
    change_hdf5(path, lambda file: file["status"].__setitem__(slice(1, 3), [b"nan", b"nan"]))
    assert read_pooled(path).status == ["pooled", "nan", "nan", "pooled"]


@pytest.mark.parametrize(
    ("name", "shape"), [("features", (2, 3)), ("features", (3,)), ("area", (2,)), ("bbox", (3, 3)), ("status", (2,))]
)
def test_columns_of_other_lengths_are_refused(tmp_path, name, shape):
    path, _ = image_file(tmp_path, "a", 3)

    def change(file):
        values = file[name][:]
        del file[name]
        file[name] = np.resize(values, shape)

    change_hdf5(path, change)
    with pytest.raises(BadFile, match=r"a\.h5: .*3 regions, but columns of shapes"):
        read_pooled(path)


def test_columns_of_other_lengths_are_told_with_all_shapes(tmp_path):
    path, _ = image_file(tmp_path, "a", 3)
    change_hdf5(path, lambda file: (file.__delitem__("area"), file.__setitem__("area", np.ones(2, np.int64))))
    with pytest.raises(BadFile, match=r"3 regions, but columns of shapes \(\(3, 3\), \(2,\), \(3, 4\), \(3,\)\)"):
        read_pooled(path)


@pytest.mark.parametrize("block", [1, 2, 3, 5])
@pytest.mark.parametrize("sizes", [(1,), (2,), (1, 1, 1), (0, 3, 1), (2, 1, 0), (4, 1, 3)])
def test_no_row_is_lost_whatever_the_size_of_a_block(tmp_path, monkeypatch, block, sizes):
    monkeypatch.setattr(pooled, "BLOCK_ROWS", block)
    made = {f"i{number}": image_file(tmp_path, f"i{number}", n) for number, n in enumerate(sizes)}
    write_pooled_set(tmp_path / "set.h5", {name: path for name, (path, _) in made.items()}, {})
    expected = np.concatenate([features for _, features in made.values()])
    column = SetColumn(tmp_path / "set.h5")
    assert (column[:] == expected).all() and len(column) == len(expected) == sum(sizes)
    assert SetColumn(tmp_path / "set.h5", "image")[:].tolist() == np.repeat(range(len(sizes)), sizes).tolist()
    rows = np.arange(0, len(expected), 2)
    assert (column.take(rows) == expected[rows]).all()


def test_a_set_tells_its_images_their_rows_and_their_regions(tmp_path):
    made = {name: image_file(tmp_path, name, n)[0] for name, n in (("b", 2), ("none", 0), ("a", 3))}
    path = tmp_path / "set.h5"
    write_pooled_set(path, made, {})
    assert image_ids(path) == ["b", "none", "a"]
    assert regions_checksums(path) == ["0" * 64] * 3
    assert rows_of(path, {"a", "none", "other"}).tolist() == [False, False, True, True, True]
    with h5py.File(path) as file:
        assert [axis.label for axis in file["features"].dims] == ["region", "channel"]
        assert file["status"].asstr()[:].tolist() == ["pooled"] * 5
        assert {file[name].dtype.kind for name in ("area", "bbox", "region", "image")} == {"i"}


@pytest.mark.parametrize(("channels", "stored_together"), [(3, 4), (3, 1 << 20), (7, 60)])
def test_features_of_any_width_are_put_together(tmp_path, monkeypatch, channels, stored_together):
    monkeypatch.setattr(pooled, "CHUNK_BYTES", stored_together)
    path, features = image_file(tmp_path, "a", 4, channels=channels)
    write_pooled_set(tmp_path / "set.h5", {"a": path}, {})
    assert (SetColumn(tmp_path / "set.h5")[:] == features).all()
    with h5py.File(tmp_path / "set.h5") as file:
        rows, width = file["features"].chunks
    assert width == channels and rows == max(1, stored_together // (4 * width))


def test_a_set_is_compared_with_the_files_of_its_images(tmp_path):
    made = {name: image_file(tmp_path, name, n)[0] for name, n in (("a", 2), ("none", 0), ("b", 3))}
    path = tmp_path / "set.h5"
    write_pooled_set(path, made, {})
    check_pooled_set(path, made.__getitem__)
    for change in (
        lambda file: file["features"].__setitem__((4, 2), 5),
        lambda file: file["region"].__setitem__(4, 7),
        lambda file: file["regions_sha256"].__setitem__(2, b"1" * 64),
        lambda file: file["image"].__setitem__(2, 0),
    ):
        whole = path.read_bytes()
        change_hdf5(path, change)
        with pytest.raises(BadFile, match=r"set\.h5: its rows of image '[ab]' are not those of the image's own file"):
            check_pooled_set(path, made.__getitem__)
        path.write_bytes(whole)
    made["b"].unlink()  # named by whoever needs it
    check_pooled_set(path, made.__getitem__)
