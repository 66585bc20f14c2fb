"""Rule named_classes: the values, names and colours of a labeler's maps."""

from regionflow.exports.named import class_list, write_class_names
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    write_class_names(job.outputs["classes"], class_list(rows, job.input("names")).names)
