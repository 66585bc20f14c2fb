"""Rule classes: the values, names and colours of the label maps."""

from regionflow.exports.colour_maps import write_classes
from regionflow.formats.clusters import read_centres
from regionflow.run.adapters import class_list
from regionflow.run.job import Job


def run(job: Job) -> None:
    write_classes(job.outputs["classes"], len(read_centres(job.input("centroids"), foreign=True)), class_list(job))
