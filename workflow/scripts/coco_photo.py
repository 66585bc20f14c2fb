"""Rules coco_photo and named_photo: one photo into the folder of a COCO data set."""

from regionflow.exports.photos import write_photo
from regionflow.images.read import opens_upright
from regionflow.run.adapters import open_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    path = job.input("image")
    pixels = None if opens_upright(path) else open_image(job)[0]
    if pixels is not None:
        print(f"{path}: other programs would open it turned or not in 8 bits; its pixels are written instead")
    write_photo(path, job.outputs["photo"], job.options["images"], pixels)
