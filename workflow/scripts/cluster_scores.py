"""Rule cluster_scores: the clusters of one variant against the classes of the ground truth."""

from regionflow.evaluate.sets import cluster_scores
from regionflow.formats.clusters import read_centres
from regionflow.formats.labels import read_label_map
from regionflow.formats.layout import for_image
from regionflow.run.evaluation import opened, write
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows, truth, _ = opened(job)
    count = len(read_centres(job.input("centroids"), foreign=job.options["model_sha256"] is not None))
    scores, classes = cluster_scores(
        rows, truth, lambda image: read_label_map(for_image(job.input("maps"), image), image), count
    )
    write(job, truth, scores, classes)
