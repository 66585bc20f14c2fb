"""Rule pooled_set: the region features of all images to one virtual file."""

from regionflow.formats import images as image_table
from regionflow.formats import pooled
from regionflow.run.adapters import for_image, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = [row.id for row in image_table.read_table(job.input("table"))]
    files = {image: for_image(job.input("pooled"), image) for image in images}
    pooled.write_set(job.outputs["pooled"], files, provenance(job))
