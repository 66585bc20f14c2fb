"""Paths that a command is given: those that must be there, and those that must not."""

from collections.abc import Sequence
from pathlib import Path

from regionflow.base.errors import UserError


def must_exist(path: Path) -> None:
    """Raise UserError for a file or folder that is not there."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")


def refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    """Raise UserError for outputs that are there, unless they may be replaced."""
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more files are" if len(existing) > 1 else " is"
        raise UserError(f"{existing[0]}{more} there already; give another --out, or --overwrite to replace")
