"""Rule colour_map: one image's label map to a PNG with a palette."""

from regionflow import clusters, exports
from regionflow.job import Job
from regionflow.stage_io import read_png


def run(job: Job) -> None:
    k = len(clusters.read_centres(job.input("centroids")))
    exports.write_colour_map(job.outputs["map"], read_png(job.input("labels")), k)
