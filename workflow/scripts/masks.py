"""Rule masks: one image to its mask file."""

from regionflow.formats import regions as records
from regionflow.masks import kinds as segmenters
from regionflow.run.adapters import generator, open_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations = [] if image is None else segmenters.generate(image, job)
    records.write(job.outputs["masks"], info, annotations, generator(job))
