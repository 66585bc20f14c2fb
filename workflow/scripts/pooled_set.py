"""Rule pooled_set: the region features of all images to one virtual file."""

from regionflow.formats.layout import for_image
from regionflow.formats.pooled import write_pooled_set
from regionflow.run.adapters import images_of, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    files = {image: for_image(job.input("pooled"), image) for image in images_of(job)}
    write_pooled_set(job.outputs["pooled"], files, provenance(job))
