"""What the adapters of the evaluation share: the images and the ground truth of a job, and its file of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from regionflow.evaluate.options import EvaluateOptions, LabelMapTruth, TruthOptions
from regionflow.evaluate.truth import Truth, open_truth
from regionflow.formats.evaluation import Scores, write_scores
from regionflow.formats.images import ImageRow, read_images
from regionflow.images.table import read_column
from regionflow.run.adapters import generator
from regionflow.run.job import Job

_TRUTH: TypeAdapter[Any] = TypeAdapter(TruthOptions)


def opened(job: Job) -> tuple[list[ImageRow], Truth, EvaluateOptions]:
    """The images of the set, their ground truth, and what is measured."""
    rows = read_images(job.input("table"))
    options = _TRUTH.validate_python(job.options["truth"])
    column = None
    if isinstance(options, LabelMapTruth) and options.column is not None:
        column = read_column(Path(job.options["image_table"]), options.column)
    truth = open_truth(options, [row.id for row in rows], column)
    for what, images in (("images without ground truth", truth.missing), ("ground truth without image", truth.extra)):
        if images:
            more = f" and {len(images) - 20} more" if len(images) > 20 else ""
            print(f"{len(images)} {what}: {', '.join(images[:20])}{more}")
    return rows, truth, EvaluateOptions.model_validate(job.options.get("evaluate", {}))


def write(
    job: Job, truth: Truth, scores: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the scores of the job's variant."""
    made_by = asdict(generator(job))
    write_scores(job.outputs["scores"], Scores(job.names, scores, classes, truth.missing, truth.extra, made_by))
