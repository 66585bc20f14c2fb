"""Rule contact_sheet: overlays of images spread over the set, on one page."""

import numpy as np

from regionflow.exports.colour_maps import classes
from regionflow.formats.checksums import note_file
from regionflow.formats.clusters import read_centres
from regionflow.formats.images import read_images, readable
from regionflow.formats.layout import for_image
from regionflow.formats.pictures import write_jpeg
from regionflow.images.read import read_image
from regionflow.report.panels import contact_sheet
from regionflow.run.adapters import class_list
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    count = min(len(rows), job.options["images"])
    chosen = [rows[i].id for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
    paths = [for_image(job.input("overlays"), image) for image in chosen]
    for path in paths:
        note_file(path)
    overlays = map(read_image, paths)
    clusters = classes(len(read_centres(job.input("centroids"), foreign=True)), class_list(job))
    write_jpeg(job.outputs["sheet"], contact_sheet(overlays, clusters), quality=88)
