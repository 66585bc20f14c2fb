"""Digests of results, by which two runs are compared."""

import hashlib
from pathlib import Path
from typing import Any

import h5py


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file under `results`, by its path in the folder."""
    files = sorted(path for path in (folder / "results").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest(path) for path in files}


def digest(path: Path) -> str:
    """sha256 of a file; of an HDF5 file's data and attributes, since HDF5 notes the time in virtual data sets."""
    return hashlib.sha256(_hdf5_content(path) if path.suffix == ".h5" else path.read_bytes()).hexdigest()


def _hdf5_content(path: Path) -> bytes:
    parts: list[bytes] = []

    def note(name: str, item: Any) -> None:
        parts.append(repr((name, sorted((key, str(value)) for key, value in item.attrs.items()))).encode())
        if isinstance(item, h5py.Dataset):
            values = item[()]
            content = values.tobytes() if item.dtype.kind in "iuf" else repr(values.tolist()).encode()
            parts.append(repr((item.dtype.str, item.shape)).encode() + content)

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return b"".join(parts)
