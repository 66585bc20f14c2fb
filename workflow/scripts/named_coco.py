"""Rule named_coco: the named regions of the set to one COCO instances file."""

from regionflow.exports.named import class_names, named, write_named_coco
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    images = named(rows, job.input("regions"), job.input("names"), job.input("maps"))
    left_out = write_named_coco(job.outputs["coco"], rows, images, class_names(rows, job.input("names")))
    print(f"{len(rows)} images, {left_out} regions without a class left out")
