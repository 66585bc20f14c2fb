"""Rule parts_agreement: the agreement of every image to one table."""

import numpy as np

from regionflow.base.files import write_table
from regionflow.formats.images import read_images, readable
from regionflow.formats.islands import read_islands
from regionflow.formats.layout import for_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = readable(read_images(job.input("table")))
    scores = [read_islands(for_image(job.input("islands"), image.id), image.id).last_agreement for image in images]
    levels = max(map(len, scores), default=0)
    rows = [
        [image.id, *("" if np.isnan(value) else value for value in agreement)]
        for image, agreement in zip(images, scores, strict=True)
    ]
    write_table(job.outputs["table"], ["image_id", *(f"level_{level}" for level in range(levels))], rows)
