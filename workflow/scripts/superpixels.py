"""Rule superpixels: one image to its SLIC label map and the same as regions."""

import numpy as np

from regionflow.formats.labels import write_label_map
from regionflow.formats.regions import write_regions
from regionflow.run.adapters import generator, open_image
from regionflow.run.job import Job
from regionflow.superpixels.options import SlicOptions
from regionflow.superpixels.slic import slic_labels, superpixel_annotations


def run(job: Job) -> None:
    image, info = open_image(job)
    labels = np.empty((0, 0), np.int64)
    if image is not None:
        labels = slic_labels(image, SlicOptions.model_validate(job.options["slic"]))
    write_label_map(job.outputs["labels"], labels, info.image_id)
    write_regions(job.outputs["regions"], info, superpixel_annotations(labels), generator(job))
