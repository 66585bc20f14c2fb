"""The files of the ground truth that a configuration names, as inputs of jobs."""

from collections.abc import Iterable
from pathlib import Path

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
