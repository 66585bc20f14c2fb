"""Weight files: which one a variant names, where it can be had, and its sha256."""

from functools import cache
from pathlib import Path

from regionflow.base.files import sha256_of
from regionflow.base.options import Options
from regionflow.base.remember import remembered
from regionflow.weights.published import CHECKPOINTS, Checkpoint

PUBLISHED = {checkpoint.file_name: checkpoint for checkpoint in CHECKPOINTS.values()}
"""Published checkpoints by file name."""

EMBEDDED = Path(__file__).parents[1] / "sam" / "sam_tiny.safetensors"
"""The weights of sam_tiny."""


def weights_path(options: Options) -> Path | None:
    """The local weight file that a segmenter or extractor names, or the embedded one; None where it needs none."""
    name = getattr(options, "checkpoint", None)
    if name is None:
        return EMBEDDED if getattr(options, "model", None) == "sam_tiny" else None
    return Path(name)


def needed_weights(options: Options) -> Path:
    """The weight file of a segmenter or extractor that cannot do without.

    Raises:
        ValueError: the options name none.
    """
    path = weights_path(options)
    if path is None:
        raise ValueError("checkpoint is missing: give the path of a weight file")
    return path


def downloadable(path: Path) -> Checkpoint | None:
    """The published checkpoint that a missing file will be, if it is one whose sha256 is known.

    Without that the options of the first run would name other weights than those of the next.
    """
    checkpoint = PUBLISHED.get(path.name) if path.parent == Path("weights") else None
    return checkpoint if checkpoint is not None and checkpoint.sha256 is not None else None


def identity(options: Options) -> str | None:
    """sha256 of the weight file of a segmenter or extractor, or what it will be once downloaded; None without one."""
    path = weights_path(options)
    if path is None:
        return None
    if path.is_file():
        return file_sha256(path)
    checkpoint = downloadable(path)
    return checkpoint.sha256 if checkpoint else None


def file_sha256(path: Path) -> str:
    """sha256 of a file; one that has not changed in size or time since is not read again."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return remembered(f"sha256 of {path.resolve()}", [size, mtime_ns], lambda: sha256_of(path))
