"""Rule colour_map: one image's label map to a PNG with a palette."""

from regionflow.exports.colour_maps import write_colour_map
from regionflow.formats.clusters import read_centres
from regionflow.formats.labels import read_label_map
from regionflow.run.job import Job


def run(job: Job) -> None:
    k = len(read_centres(job.input("centroids"), foreign=True))
    write_colour_map(job.outputs["map"], read_label_map(job.input("labels"), job.names["image"]), k)
