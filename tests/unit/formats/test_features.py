"""Feature files: what is written is what is read, and broken files are named."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.signed import change_hdf5
from regionflow.base.errors import BadFile
from regionflow.formats import features
from regionflow.formats.features import FeatureMap, read_features, write_features
from regionflow.formats.geometry import Geometry
from regionflow.formats.hdf5 import read_attribute

GEOMETRY = Geometry.pad_to_multiple(30, 45, 14)


def example(scale: float = 1.0) -> FeatureMap:
    values = np.random.default_rng(0).normal(size=(6, *GEOMETRY.grid)).astype(np.float32) * scale
    return FeatureMap(values, GEOMETRY, {"b": 1, "a": {"model": "x"}})


def test_round_trip_in_float16(tmp_path: Path) -> None:
    path = tmp_path / "dog.h5"
    write_features(path, example())
    read = read_features(path)
    assert read.features.dtype == np.float16
    assert np.array_equal(read.features, example().features.astype(np.float16))
    assert read.geometry == GEOMETRY
    assert read.provenance == {"a": {"model": "x"}, "b": 1}
    assert read.error is None
    with h5py.File(path) as file:
        assert read_attribute(file, "provenance") == '{"a":{"model":"x"},"b":1}'
        assert file.attrs["offset"].tolist() == [6, 5]


def test_float32_is_exact_and_files_are_reproducible(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_features(tmp_path / name, example(), "float32")
    assert np.array_equal(read_features(tmp_path / "a.h5").features, example().features)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_unreadable_image_gives_a_valid_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    write_features(path, FeatureMap.failed("truncated JPEG", {"a": 1}))
    read = read_features(path)
    assert read.features.shape == (0, 0, 0)
    assert (read.geometry, read.error, read.provenance) == (None, "truncated JPEG", {"a": 1})


def test_values_beyond_float16_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"big\.h5: features overflow float16; set `stored: float32`"):
        write_features(tmp_path / "big.h5", example(1e6))
    write_features(tmp_path / "big.h5", example(1e6), "float32")
    largest = FeatureMap(np.full((1, *GEOMETRY.grid), -65504, np.float32), GEOMETRY)
    write_features(tmp_path / "largest.h5", largest)
    assert np.array_equal(read_features(tmp_path / "largest.h5").features, largest.features)
    for scale in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"nan\.h5: features are not finite"):
            write_features(tmp_path / "nan.h5", example(scale))


@pytest.mark.parametrize("damage", ["truncated", "text", "no dataset", "no geometry", "wrong grid"])
def test_broken_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "dog.h5"
    write_features(path, example())
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:900])
    elif damage == "text":
        path.write_text("hello")
    else:
        with h5py.File(path, "r+") as file:
            if damage == "no dataset":
                del file["features"]
            elif damage == "no geometry":
                del file.attrs["offset"]
            else:
                file.attrs["grid"] = [3, 5]
    with pytest.raises(BadFile, match=r"dog\.h5: not a whole feature file"):
        read_features(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.h5: no such file"):
        read_features(tmp_path / "none.h5")


def test_map_must_fit_its_grid() -> None:
    with pytest.raises(ValueError, match="do not fit the grid"):
        FeatureMap(np.zeros((4, 2, 2), np.float32), GEOMETRY)
    with pytest.raises(ValueError, match="either a geometry or an error"):
        FeatureMap(np.zeros((4, 0, 0), np.float32), None)


def test_a_file_says_whose_it_is_and_names_its_axes(tmp_path: Path) -> None:
    path = tmp_path / "dog.h5"
    write_features(path, replace(example(), image_id="sub/dog"))
    assert read_features(path, "sub/dog").image_id == "sub/dog"
    with pytest.raises(BadFile, match=r"dog\.h5: it is of image 'sub/dog', not of 'cat'"):
        read_features(path, "cat")
    with h5py.File(path) as file:
        assert [axis.label for axis in file["features"].dims] == ["channel", "row", "column"]


@pytest.mark.parametrize("other", ["features", "geometry"])
def test_a_disk_that_gives_back_something_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    changed = {
        "features": example(2.0).features.astype(np.float16),
        "geometry": replace(GEOMETRY, offset=(0, 0)),
    }
    back = replace(example(), **{"features": example().features.astype(np.float16), other: changed[other]})
    monkeypatch.setattr(features, "read_features", lambda path: back)
    with pytest.raises(OSError, match=r"dog\.h5: the file read back differs from what was written; check the disk"):
        write_features(tmp_path / "dog.h5", example())


@pytest.mark.parametrize("damage", ["provenance", "image_id"])
def test_a_file_without_a_name_or_provenance(tmp_path: Path, damage: str) -> None:
    """Who made a file must be known; of whom it is, only where it is asked."""
    path = tmp_path / "dog.h5"
    write_features(path, example())
    change_hdf5(path, lambda file: file.attrs.__delitem__(damage))
    if damage == "image_id":
        assert read_features(path).image_id == ""
    else:
        with pytest.raises(BadFile, match=r"dog\.h5: not a whole feature file"):
            read_features(path)
