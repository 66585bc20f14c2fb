"""Rule classes: the values, names and colours of the label maps."""

from regionflow.exports import coco as exports
from regionflow.labels import kmeans as clusters
from regionflow.run.job import Job


def run(job: Job) -> None:
    exports.write_classes(job.outputs["classes"], len(clusters.read_centres(job.input("centroids"))))
