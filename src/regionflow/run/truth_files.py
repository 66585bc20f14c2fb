"""The files of the ground truth that a configuration names: as inputs of jobs, and by what is in them."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of, stamp_of
from regionflow.base.options import canonical_json
from regionflow.base.remember import remembered
from regionflow.config.types import Config
from regionflow.evaluate.errors import TruthError
from regionflow.evaluate.options import SUFFIXES, CocoTruth, LabelMapTruth, PanopticTruth
from regionflow.images.table import read_column


def truth_files(config: Config, images: Iterable[str]) -> list[str]:
    """The JSON file, or the label maps of the images of the set, and the file of class names.

    Raises TruthError, naming the key, if there is no ground truth or a file of it is missing.
    """
    truth = config.known_truth
    if truth is None:
        raise TruthError("truth: names no ground truth to evaluate against, e.g. {type: coco, file: instances.json}")
    if isinstance(truth, CocoTruth | PanopticTruth):
        files = [Path(truth.file)]
    elif truth.dir is not None:
        folder = Path(truth.dir)
        files = [path for image in images for s in SUFFIXES if (path := folder / f"{image}{s}").is_file()]
    else:
        if config.images.table is None:
            raise TruthError("truth.column: there is no image table (images.table) to have a column")
        column = read_column(Path(config.images.table), truth.column or "")
        files = [column[image] for image in images if image in column]
    names = truth.classes if isinstance(truth, LabelMapTruth) else None
    named = [Path(names)] if names is not None else []
    gone = [path for path in (*files, *named) if not path.is_file()]
    if gone:
        raise TruthError(f"truth: {gone[0]} is not there; correct the key or put the file there")
    return [str(path) for path in (*files, *named)]


def truth_sha256(config: Config) -> str | None:
    """One sha256 of the names and contents of all files of the ground truth; None without one.

    All that lie in its folder, not only those of the images: the scores name the others. They are read again when the
    size, times or number of any has changed.
    """
    files = {name: path for name, path in _every_file(config) if path.is_file()}
    if not files:
        return None
    stamp = _hash([[name, str(path), *stamp_of(path)] for name, path in files.items()])
    key = f"truth {_hash(config.known_truth.canonical() if config.known_truth else None)[:16]}"
    known = remembered(key, stamp, lambda: _hash([[name, sha256_of(path)] for name, path in files.items()]))
    return str(known)


def _every_file(config: Config) -> list[tuple[str, Path]]:
    """Name and path of every file that may be read, in order; where they lie is in the options, or does not matter."""
    truth, files = config.known_truth, list[tuple[str, Path]]()
    if isinstance(truth, CocoTruth | PanopticTruth):
        files.append(("file", Path(truth.file)))
    if isinstance(truth, LabelMapTruth) and truth.classes is not None:
        files.append(("classes", Path(truth.classes)))
    if isinstance(truth, LabelMapTruth | PanopticTruth) and truth.dir is not None:
        folder = Path(truth.dir)
        every = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        files += [(path.relative_to(folder).as_posix(), path) for path in every]
    elif isinstance(truth, LabelMapTruth) and config.images.table is not None and Path(config.images.table).is_file():
        with suppress(UserError):  # the input function tells it
            files += sorted(read_column(Path(config.images.table), truth.column or "").items())
    return files


def _hash(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
