"""Rules coco and coco_split: the regions and labels of the set, or of one split, to a COCO instances file."""

from regionflow.exports.coco import write_coco
from regionflow.exports.colour_maps import classes
from regionflow.exports.labelled import labelled
from regionflow.exports.photos import photos_of, rows_of
from regionflow.formats.clusters import read_centres
from regionflow.formats.images import read_images
from regionflow.run.adapters import class_list
from regionflow.run.job import Job


def run(job: Job) -> None:
    every = read_images(job.input("table"))
    rows = rows_of(every, job.names.get("split"))
    images = labelled(rows, job.input("regions"), job.input("labels"))
    clusters = classes(len(read_centres(job.input("centroids"), foreign=True)), class_list(job))
    photos = photos_of(every, job.options["coco"], job.inputs.get("photos"))
    left_out = write_coco(job.outputs["coco"], rows, images, clusters, photos)
    print(f"{len(rows)} images, {left_out} regions without a cluster left out; file names are below {photos.root}")
