"""Rule superpixels: one image to its SLIC label map and the same as regions."""

import numpy as np

from regionflow.config.types import SlicOptions
from regionflow.formats import regions as records
from regionflow.run.adapters import generator, open_image, write_png
from regionflow.run.job import Job
from regionflow.superpixels import slic as superpixels


def run(job: Job) -> None:
    image, info = open_image(job)
    labels = np.empty((0, 0), np.int64)
    if image is not None:
        labels = superpixels.label_map(image, SlicOptions.model_validate(job.options["slic"]))
    write_png(job.outputs["labels"], labels)
    records.write(job.outputs["regions"], info, superpixels.annotations(labels), generator(job))
