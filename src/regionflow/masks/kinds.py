"""Automatic mask generation: an image becomes masks in the SA-1B record format."""

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from regionflow.formats.regions import Annotation
from regionflow.masks.options import GraphOptions, SegmenterOptions
from regionflow.run.job import Job

_OPTIONS: TypeAdapter[SegmenterOptions] = TypeAdapter(SegmenterOptions)


def generate(image: NDArray[np.uint8], job: Job) -> list[Annotation]:
    """Masks of an RGB image [H, W, 3] by the segmenter that the job's options name."""
    options = _OPTIONS.validate_python(job.options["segmenter"])
    # Imported here because each kind brings libraries that the others do not need.
    if isinstance(options, GraphOptions):
        from regionflow.masks import graph

        return graph.generate(image, options)
    from regionflow.masks import sam

    return sam.generate(image, options, job)
