"""Rule comparison: fits of several numbers of clusters to one table."""

from regionflow.formats.clusters import read_clusters, write_comparison
from regionflow.run.job import Job


def run(job: Job) -> None:
    write_comparison(job.outputs["table"], [read_clusters(path) for path in job.input_list("fits")])
