"""The teacher that a segmenter makes."""

from regionflow.base.errors import UserError
from regionflow.base.options import Kind
from regionflow.parts.options import TEACHERS, TeacherOptions
from regionflow.parts.teacher import Teacher


def teacher(
    options: TeacherOptions, segmenter: Kind, device: str = "cpu", points_per_batch: int | None = None
) -> Teacher:
    """The teacher that the options describe, its model (if it has one) loaded on `device`.

    Raises UserError for a segmenter that cannot teach, CheckpointError for weights that cannot be used.
    """
    kind = getattr(segmenter, "type", "")
    if kind == "sam":
        from regionflow.parts.teacher import SamTeacher

        return SamTeacher(options, segmenter, device, points_per_batch)  # type: ignore[arg-type]
    if kind == "merge_tree":
        from regionflow.parts.merge_tree import MergeTreeTeacher

        return MergeTreeTeacher(options, segmenter)  # type: ignore[arg-type]
    raise UserError(f"parts.teacher.segmenter: a segmenter of type {kind} cannot teach, only {' and '.join(TEACHERS)}")
