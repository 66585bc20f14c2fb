"""Rule problems: results/images.tsv to results/problems.tsv."""

from regionflow import image_table, problems
from regionflow.job import Job


def run(job: Job) -> None:
    problems.write(job.outputs["problems"], image_table.read_table(job.input("table")))
