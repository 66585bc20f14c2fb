"""Rule contact_sheet: overlays of images spread over the set, on one page."""

import numpy as np
from PIL import Image

from regionflow.formats import images as image_table
from regionflow.images.read import read
from regionflow.report import panels as pictures
from regionflow.run.adapters import for_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = [row for row in image_table.read_table(job.input("table")) if row.status == "ok"]
    count = min(len(rows), job.options["images"])
    chosen = [rows[i].id for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
    overlays = [read(for_image(job.input("overlays"), image)) for image in chosen]
    sheet = pictures.contact_sheet(overlays)
    Image.fromarray(sheet).save(job.outputs["sheet"], format="JPEG", quality=88)
