"""Rule panoptic_map: one image's named regions to its segments."""

from regionflow.exports.named import named, write_panoptic_map
from regionflow.formats.images import read_images
from regionflow.run.job import Job


def run(job: Job) -> None:
    (row,) = (row for row in read_images(job.input("table")) if row.id == job.names["image"])
    (image,) = named([row], job.input("regions"), job.input("names"), job.input("maps"))
    write_panoptic_map(job.outputs["map"], image)
