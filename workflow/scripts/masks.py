"""Rule masks: one image to its mask file."""

from regionflow import records, segmenters
from regionflow.job import Job
from regionflow.stage_io import generator, open_image


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations = [] if image is None else segmenters.generate(image, job)
    records.write(job.outputs["masks"], info, annotations, generator(job))
