"""Rule comparison: fits of several numbers of clusters to one table."""

from regionflow import clusters
from regionflow.job import Job


def run(job: Job) -> None:
    clusters.write_comparison(job.outputs["table"], [clusters.read(path) for path in job.input_list("fits")])
