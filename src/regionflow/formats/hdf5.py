"""HDF5 files of this project: opened with one error type, written whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from regionflow.base.errors import BadFile
from regionflow.base.files import whole
from regionflow.base.options import canonical_json


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """Open a file to read; `what` is a noun with its article.

    Raises BadFile, naming the file, if it cannot be opened, or if the block misses something in it (OSError, KeyError,
    ValueError, TypeError).
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except BadFile:
        raise
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file; run snakemake to make it") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BadFile.damaged(path, what, error) from error


@contextmanager
def write_hdf5(path: Path, provenance: Mapping[str, Any], libver: str | None = None) -> Iterator[h5py.File]:
    """A new file with the provenance (what made it, as canonical JSON) among its attributes, closed at the end."""
    with whole(path) as part, h5py.File(part, "w", libver=libver) as file:
        yield file
        file.attrs["provenance"] = canonical_json(dict(provenance))


def read_provenance(path: Path) -> dict[str, Any]:
    """What made a file; empty if it does not say."""
    with open_hdf5(path, "an HDF5 file") as file:
        return json.loads(file.attrs.get("provenance", "{}"))
