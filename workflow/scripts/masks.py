"""Rule masks: one image to its mask file."""

from regionflow.formats.regions import write_regions
from regionflow.run.adapters import generator, open_image, segmenter_of
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations = [] if image is None else segmenter_of(job).generate(image)
    write_regions(job.outputs["masks"], info, annotations, generator(job))
