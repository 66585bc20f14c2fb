"""Rule named_map: one image's map of classes to a PNG with a palette."""

from regionflow.exports.colour_maps import write_colour_map
from regionflow.formats.labels import read_label_map
from regionflow.formats.semantics import read_semantics
from regionflow.run.job import Job


def run(job: Job) -> None:
    image = job.names["image"]
    classes = len(read_semantics(job.input("names"), image).classes)
    write_colour_map(job.outputs["map"], read_label_map(job.input("labels"), image), max(1, classes))
