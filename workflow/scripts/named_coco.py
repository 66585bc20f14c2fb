"""Rules named_coco and named_split: the named regions of the set, or of one split, to a COCO instances file."""

from regionflow.exports.named import class_list, named, write_named_coco
from regionflow.exports.photos import photos_of, rows_of
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    every = read_images(job.input("table"))
    rows = rows_of(every, job.names.get("split"))
    images = named(rows, job.input("regions"), job.input("names"), job.input("maps"))
    classes = class_list(readable(every), job.input("names"))
    photos = photos_of(every, job.options["coco"], job.inputs.get("photos"))
    left_out = write_named_coco(job.outputs["coco"], rows, images, classes, photos)
    print(f"{len(rows)} images, {left_out} regions without a class left out; file names are below {photos.root}")
