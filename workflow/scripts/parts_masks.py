"""Rule parts_masks: one image to the teacher's masks of every patch, or several to theirs on a card."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.kinds import read_kind
from regionflow.base.later import OnCard
from regionflow.base.options import canonical_json
from regionflow.formats.parts import PartMasks, write_part_masks
from regionflow.formats.regions import ImageInfo
from regionflow.masks.kinds import SegmenterOptions
from regionflow.parts.options import TeacherOptions
from regionflow.parts.pixels import square
from regionflow.parts.teacher import Teacher
from regionflow.parts.teachers import teacher
from regionflow.run.adapters import generator, open_image
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.run.together import Steps, Working


def run(job: Job) -> None:
    image, info = _read(job)
    _write(job, info, None if image is None else _teacher(job).masks(image))


def can_work_together(job: Job) -> bool:
    """Whether the teacher is one for a card: these have a way for several images."""
    return read_kind(SegmenterOptions, job.options["segmenter"]).uses_card


def run_together(jobs: Sequence[Job], working: Working) -> None:
    Steps(_read, _teacher, _begin, _write).run_together(jobs, working)


def _read(job: Job) -> tuple[NDArray[np.uint8] | None, ImageInfo]:
    image, info = open_image(job)
    return (None if image is None else square(image, job.options["size"])), info


def _begin(teacher: Any, squares: Sequence[tuple[NDArray[np.uint8], ImageInfo]]) -> list[OnCard[PartMasks]]:
    return teacher.begin([image for image, _ in squares])


def _write(job: Job, info: ImageInfo, parts: PartMasks | None) -> None:
    made = PartMasks.none(str(info.error)) if parts is None else parts
    write_part_masks(job.outputs["masks"], info.image_id, info.file_name, made, generator(job))


def _teacher(job: Job) -> Teacher:
    """The teacher of the job; a resident process keeps its model."""
    options = TeacherOptions.model_validate(job.options["teacher"])
    segmenter, batch = read_kind(SegmenterOptions, job.options["segmenter"]), job.runtime.get("points_per_batch")
    device = pick(job) if segmenter.uses_card else "cpu"
    made_of = canonical_json([job.options[name] for name in ("teacher", "segmenter", "weights_sha256")])
    return job.models.get(("teacher", made_of, device), lambda: teacher(options, segmenter, device, batch))
