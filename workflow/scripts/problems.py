"""Rule problems: results/images.tsv, and the files that cannot be in it, to results/problems.tsv."""

from regionflow.formats.images import read_images
from regionflow.formats.problems import write_problems
from regionflow.images.find import OUTPUTS, find_set
from regionflow.images.options import ImagesOptions
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ImagesOptions.model_validate(job.options["images"])
    left_out = find_set(options, [*OUTPUTS, job.outputs["problems"].parent]).left_out
    write_problems(job.outputs["problems"], read_images(job.input("table")), left_out)
