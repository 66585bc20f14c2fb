"""Rule superpixels: one image to its SLIC label map and the same as regions."""

import numpy as np

from regionflow import records, superpixels
from regionflow.config.types import SlicOptions
from regionflow.job import Job
from regionflow.stage_io import generator, open_image, write_png


def run(job: Job) -> None:
    image, info = open_image(job)
    labels = np.empty((0, 0), np.int64)
    if image is not None:
        labels = superpixels.label_map(image, SlicOptions.model_validate(job.options["slic"]))
    write_png(job.outputs["labels"], labels)
    records.write(job.outputs["regions"], info, superpixels.annotations(labels), generator(job))
