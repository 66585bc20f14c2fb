"""Rule comparison: fits of several numbers of clusters to one table."""

from regionflow.labels import kmeans as clusters
from regionflow.run.job import Job


def run(job: Job) -> None:
    clusters.write_comparison(job.outputs["table"], [clusters.read(path) for path in job.input_list("fits")])
