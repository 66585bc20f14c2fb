"""Feature extractors: an image becomes a feature map [C, h, w] that knows where it lies on the image."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from regionflow.base.options import canonical_json
from regionflow.features.options import DaisyLabOptions, ExtractorOptions, TimmOptions
from regionflow.formats.features import FeatureMap
from regionflow.run.job import Job

_OPTIONS: TypeAdapter[ExtractorOptions] = TypeAdapter(ExtractorOptions)


class Extractor(Protocol):
    """Anything that turns an image into a feature map."""

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map (float32) of an RGB image [H, W, 3] of any size; its provenance says what options do not."""
        ...


def build(options: ExtractorOptions, device: str = "cpu") -> Extractor:
    """The extractor that the options describe, its model loaded on `device`.

    Raises ExtractorError or CheckpointError, naming the model or file, if there is no such model, or the weights are
    missing, damaged or of another model.
    """
    # Imported here because each kind brings libraries that the others do not need.
    if isinstance(options, DaisyLabOptions):
        from regionflow.features.daisy_lab import DaisyLab

        return DaisyLab()
    if isinstance(options, TimmOptions):
        from regionflow.features.timm_model import TimmExtractor

        return TimmExtractor(options, device)
    from regionflow.features.sam_encoder import SamEncoder

    return SamEncoder(options, device)


def for_job(job: Job) -> Extractor:
    """The extractor of a job; a resident process keeps it."""
    options = _OPTIONS.validate_python(job.options["extractor"])
    if isinstance(options, DaisyLabOptions):
        return build(options)
    from regionflow.run.devices import pick

    device = pick(job)
    key = (canonical_json(job.options["extractor"]), job.options.get("weights_sha256"), device)
    return job.models.get(key, lambda: build(options, device))
