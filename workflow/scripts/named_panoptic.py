"""Rule named_panoptic: the named regions of the set to one COCO panoptic file."""

from regionflow.exports.named import class_list, named, write_panoptic
from regionflow.exports.photos import photos_of
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    every = read_images(job.input("table"))
    rows = readable(every)
    photos = photos_of(every, job.options["coco"], job.inputs.get("photos"))
    images = named(rows, job.input("regions"), job.input("names"), job.input("maps"))
    write_panoptic(job.outputs["panoptic"], rows, images, class_list(rows, job.input("names")), photos)
