"""Rule coco: the regions and labels of the set to one COCO instances file."""

from regionflow.exports.coco import write_coco
from regionflow.exports.labelled import labelled
from regionflow.formats.clusters import read_centres
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    images = labelled(rows, job.input("regions"), job.input("labels"))
    k = len(read_centres(job.input("centroids"), foreign=True))
    left_out = write_coco(job.outputs["coco"], rows, images, k)
    print(f"{len(rows)} images, {left_out} regions without a cluster left out")
