"""Rule problems: results/images.tsv to results/problems.tsv."""

from regionflow.formats import images as image_table
from regionflow.formats import problems
from regionflow.run.job import Job


def run(job: Job) -> None:
    problems.write(job.outputs["problems"], image_table.read_table(job.input("table")))
