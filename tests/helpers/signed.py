"""Files changed by a careful hand: with a right checksum, so that what the readers check beyond it can be tested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from regionflow.formats.checked import read_checked_json, write_checked_json
from regionflow.formats.hdf5 import seal


def change_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the content of a checked JSON file and sign it again."""
    content, _ = read_checked_json(path, "a file")
    change(content)
    write_checked_json(path, content)


def change_hdf5(path: Path, change: Callable[[h5py.File], Any]) -> None:
    """Change an HDF5 file and sign it again."""
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
