"""Rule mask_scores: the masks of one segmenter against the ground truth."""

from regionflow.evaluate.sets import mask_scores
from regionflow.formats.evaluation import write_rows
from regionflow.formats.layout import for_image
from regionflow.formats.regions import read_regions
from regionflow.run.evaluation import opened, write
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows, truth, options = opened(job)
    scores, images = mask_scores(
        rows, truth, lambda image: read_regions(for_image(job.input("records"), image), image).annotations, options
    )
    write(job, truth, scores)
    write_rows(job.outputs["images"], images)
