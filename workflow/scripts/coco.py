"""Rule coco: the regions and labels of the set to one COCO instances file."""

from regionflow.exports import coco as exports
from regionflow.formats import images as image_table
from regionflow.labels import kmeans as clusters
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = exports.readable(image_table.read_table(job.input("table")))
    images = exports.labelled(rows, job.input("regions"), job.input("labels"))
    k = len(clusters.read_centres(job.input("centroids")))
    left_out = exports.write_coco(job.outputs["coco"], rows, images, k)
    print(f"{len(rows)} images, {left_out} regions without a cluster left out")
