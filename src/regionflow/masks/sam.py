"""Segment Anything as a segmenter: the automatic mask generator over the weights that the options name."""

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.regions import Annotation
from regionflow.masks.options import SamOptions
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.sam.build import build_sam
from regionflow.sam.generator import generate as generate_masks
from regionflow.weights.files import needed_weights

SOURCE = "sam"


def generate(image: NDArray[np.uint8], options: SamOptions, job: Job) -> list[Annotation]:
    """Masks of an RGB image [H, W, 3] in the generator's order, predicted IoU falling."""
    device = pick(job)
    key = ("sam", options.model, options.checkpoint, job.options["weights_sha256"], device)
    model = job.models.get(key, lambda: build_sam(options.model, needed_weights(options), device))
    found = generate_masks(model, image, options, points_per_batch=job.runtime.get("points_per_batch"))
    return [{"source": SOURCE, **record} for record in found]
