"""What a file in results/ is known by, of whatever kind it is."""

import hashlib
import os
from pathlib import Path

from regionflow.base.files import sha256_of
from regionflow.base.reads import note
from regionflow.formats.hdf5 import stored_checksum


def checksum_of(path: Path) -> str:
    """The sha256 of its bytes.

    Large files are not read once more: one of our HDF5 files is known by the checksum in its head, which its readers
    compare with the rest. A link is known by where it leads.
    """
    if path.is_symlink():
        return hashlib.sha256(b"link to " + os.fsencode(path.readlink())).hexdigest()
    return (stored_checksum(path) if path.suffix == ".h5" else None) or sha256_of(path)


def note_file(path: Path) -> None:
    """A file without a checksum of its own has been read."""
    note(path, lambda: checksum_of(path))
