"""Other programs read our HDF5 files: the tools of HDF5 1.10, PyTables, plain h5py."""

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.small_results import make
from regionflow.formats.pooled import read_pooled

SET = "pooled/daisy/default.h5"
OLDEST_READER = b"\x00"
"""Version of the superblock that every HDF5 since 1.0 knows; the versions after it need 1.8 and 1.10."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tools") / "results"
    make(root)
    return root


def hdf5_files(root: Path) -> list[Path]:
    files = sorted(root.rglob("*.h5"))
    assert len(files) == 6
    return files


def test_files_are_of_the_oldest_layout_and_hold_no_virtual_data(root: Path) -> None:
    for path in hdf5_files(root):
        data = path.read_bytes()
        assert data[512:520] == b"\x89HDF\r\n\x1a\n"
        assert data[520:521] == OLDEST_READER
        with h5py.File(path) as file:
            datasets = [item for item in file.values() if isinstance(item, h5py.Dataset)]
            assert datasets
            assert not any(item.is_virtual for item in datasets)


def test_strings_are_of_fixed_length(root: Path) -> None:
    for path in hdf5_files(root):
        with h5py.File(path) as file:
            for item in [*file.values(), file]:
                for name in item.attrs:
                    if name not in ("DIMENSION_LABELS", "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"):
                        assert h5py.check_string_dtype(item.attrs.get_id(name).dtype) is None or (
                            h5py.check_string_dtype(item.attrs.get_id(name).dtype).length is not None
                        )
                if isinstance(item, h5py.Dataset) and (info := h5py.check_string_dtype(item.dtype)):
                    assert info.length is not None


def test_axes_have_names(root: Path) -> None:
    """All of a dataset or none, and no dimension scales: PyTables fails on them."""
    with h5py.File(root / "features/daisy/a.h5") as file:
        assert [axis.label for axis in file["features"].dims] == ["channel", "row", "column"]
    for name in ("pooled/daisy/default/a.h5", SET):
        with h5py.File(root / name) as file:
            assert [axis.label for axis in file["features"].dims] == ["region", "channel"]
            assert [axis.label for axis in file["bbox"].dims] == ["region", "x, y, width, height"]


def test_plain_h5py_reads_the_set_as_the_readme_does(root: Path) -> None:
    with h5py.File(root / SET) as file:
        rows = np.concatenate([read_pooled(root / f"pooled/daisy/default/{i}.h5").features for i in ("a", "sub/b")])
        assert (file["features"][:] == rows).all()


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump (Debian: hdf5-tools) is not installed")
def test_h5dump_reads_every_file(root: Path) -> None:
    for path in hdf5_files(root):
        done = subprocess.run(["h5dump", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "unable" not in done.stdout + done.stderr


READ_BY_PYTABLES = """
import hashlib, json, sys, tables
with tables.open_file(sys.argv[1]) as file:
    arrays = {node.name: node.read() for node in file.root._f_iter_nodes("Array")}
print(json.dumps({name: [list(a.shape), hashlib.sha256(a.tobytes()).hexdigest()] for name, a in arrays.items()}))
"""


@pytest.mark.skipif(find_spec("tables") is None, reason="PyTables is not installed")
def test_pytables_reads_every_dataset(root: Path) -> None:
    """In a process of its own: two versions of the HDF5 library do not live in one."""
    for path in hdf5_files(root):
        done = subprocess.run([sys.executable, "-c", READ_BY_PYTABLES, str(path)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Warning" not in done.stderr
        with h5py.File(path) as file:
            arrays = {name: item[()] for name, item in file.items()}
        expected = {name: [list(a.shape), hashlib.sha256(a.tobytes()).hexdigest()] for name, a in arrays.items()}
        assert json.loads(done.stdout) == expected
