"""Pooled files: per image, and the set, which holds every row itself."""

import h5py
import numpy as np
import pytest

from regionflow.base.errors import BadFile
from regionflow.formats import pooled
from regionflow.formats.hdf5 import write_hdf5
from regionflow.formats.pooled import SetColumn, read_pooled, write_pooled, write_pooled_set
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
