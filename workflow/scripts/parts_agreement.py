"""Rule parts_agreement: the agreement of every image to one table."""

from regionflow.base.files import write_table
from regionflow.formats.images import read_images, readable
from regionflow.formats.layout import for_image
from regionflow.formats.parts import read_agreement
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = readable(read_images(job.input("table")))
    agreement = {image.id: read_agreement(for_image(job.input("islands"), image.id), image.id) for image in images}
    levels = max(map(len, agreement.values()), default=0)
    rows = [[name, *("" if value is None else value for value in values)] for name, values in agreement.items()]
    write_table(job.outputs["table"], ["image_id", *(f"level_{level}" for level in range(levels))], rows)
