"""The hash by which files are known."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """sha256 of a file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
