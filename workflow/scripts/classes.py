"""Rule classes: the values, names and colours of the label maps."""

from regionflow import clusters, exports
from regionflow.job import Job


def run(job: Job) -> None:
    exports.write_classes(job.outputs["classes"], len(clusters.read_centres(job.input("centroids"))))
