"""Rule parts_agreement: the agreement of every image to one table."""

import json

from regionflow.base.files import write_table
from regionflow.formats.images import read_images, readable
from regionflow.formats.layout import for_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    images = readable(read_images(job.input("table")))
    files = [json.loads(for_image(job.input("islands"), image.id).read_text(encoding="utf-8")) for image in images]
    levels = max((len(file["agreement"]) for file in files), default=0)
    rows = [[file["image_id"], *("" if value is None else value for value in file["agreement"])] for file in files]
    write_table(job.outputs["table"], ["image_id", *(f"level_{level}" for level in range(levels))], rows)
