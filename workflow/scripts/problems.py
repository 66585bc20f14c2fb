"""Rule problems: results/images.tsv to results/problems.tsv."""

from regionflow.formats.images import read_images
from regionflow.formats.problems import write_problems
from regionflow.run.job import Job


def run(job: Job) -> None:
    write_problems(job.outputs["problems"], read_images(job.input("table")))
