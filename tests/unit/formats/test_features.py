"""Feature files: what is written is what is read, and broken files are named."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from regionflow.base.errors import BadFile
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
