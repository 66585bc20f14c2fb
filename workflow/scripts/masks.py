"""Rule masks: one image to its mask file, or several to theirs, together where the segmenter can."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.kinds import read_kind
from regionflow.base.later import OnCard
from regionflow.formats.features import read_features
from regionflow.formats.regions import Annotation, ImageInfo, write_regions
from regionflow.masks.kinds import SegmenterOptions, masks_of_image
from regionflow.run.adapters import generator, open_image, segmenter_of
from regionflow.run.job import Job
from regionflow.run.together import Steps, Working


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations: list[Annotation] = []
    if image is not None:
        maps = [read_features(path, job.names["image"]) for path in job.input_list("features")]
        annotations = masks_of_image(segmenter_of(job), image, job.names["image"], maps[0] if maps else None)
    _write(job, info, annotations)


def can_work_together(job: Job) -> bool:
    """Whether the segmenter is one for a card: these have a way for several images."""
    return read_kind(SegmenterOptions, job.options["segmenter"]).uses_card


def run_together(jobs: Sequence[Job], working: Working) -> None:
    Steps(open_image, segmenter_of, _begin, _write).run_together(jobs, working)


def _begin(segmenter: Any, images: Sequence[tuple[NDArray[np.uint8], ImageInfo]]) -> list[OnCard[list[Annotation]]]:
    return segmenter.begin([image for image, _ in images])


def _write(job: Job, info: ImageInfo, annotations: list[Annotation] | None) -> None:
    write_regions(job.outputs["masks"], info, annotations or [], generator(job))
