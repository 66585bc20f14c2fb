"""Rule pooled_set: the region features of all images to one virtual file."""

from regionflow import image_table, pooled
from regionflow.job import Job
from regionflow.stage_io import for_image, provenance


def run(job: Job) -> None:
    images = [row.id for row in image_table.read_table(job.input("table"))]
    files = {image: for_image(job.input("pooled"), image) for image in images}
    pooled.write_set(job.outputs["pooled"], files, provenance(job))
