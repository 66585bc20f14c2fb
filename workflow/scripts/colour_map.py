"""Rule colour_map: one image's label map to a PNG with a palette."""

from regionflow.exports import coco as exports
from regionflow.labels import kmeans as clusters
from regionflow.run.adapters import read_png
from regionflow.run.job import Job


def run(job: Job) -> None:
    k = len(clusters.read_centres(job.input("centroids")))
    exports.write_colour_map(job.outputs["map"], read_png(job.input("labels")), k)
