"""Rule parts_masks: one image to the teacher's masks of every patch."""

from regionflow.base.kinds import read_kind
from regionflow.base.options import canonical_json
from regionflow.formats.parts import PartMasks, write_part_masks
from regionflow.masks.kinds import SegmenterOptions
from regionflow.parts.options import TeacherOptions
from regionflow.parts.pixels import square
from regionflow.parts.teacher import Teacher
from regionflow.parts.teachers import teacher
from regionflow.run.adapters import generator, open_image
from regionflow.run.devices import pick
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    parts = PartMasks.none(str(info.error))
    if image is not None:
        parts = _teacher(job).masks(square(image, job.options["size"]))
    write_part_masks(job.outputs["masks"], info.image_id, info.file_name, parts, generator(job))


def _teacher(job: Job) -> Teacher:
    """The teacher of the job; a resident process keeps its model."""
    options = TeacherOptions.model_validate(job.options["teacher"])
    segmenter, batch = read_kind(SegmenterOptions, job.options["segmenter"]), job.runtime.get("points_per_batch")
    device = pick(job) if segmenter.uses_card else "cpu"
    made_of = canonical_json([job.options[name] for name in ("teacher", "segmenter", "weights_sha256")])
    return job.models.get(("teacher", made_of, device), lambda: teacher(options, segmenter, device, batch))
