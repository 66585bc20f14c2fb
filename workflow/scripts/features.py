"""Rule features: one image to its feature map, or several to theirs, together where the extractor can."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.kinds import read_kind
from regionflow.base.later import OnCard
from regionflow.features.kinds import ExtractorOptions
from regionflow.formats.features import FeatureMap, write_features
from regionflow.formats.regions import ImageInfo
from regionflow.run.adapters import extractor_of, open_image, provenance
from regionflow.run.job import Job
from regionflow.run.together import Steps, Working


def run(job: Job) -> None:
    image, info = open_image(job)
    _write(job, info, None if image is None else extractor_of(job).extract(image))


def can_work_together(job: Job) -> bool:
    """Whether the extractor is one for a card: these have a way for several images."""
    return read_kind(ExtractorOptions, job.options["extractor"]).uses_card


def run_together(jobs: Sequence[Job], working: Working) -> None:
    Steps(open_image, extractor_of, _begin, _write).run_together(jobs, working)


def _begin(extractor: Any, images: Sequence[tuple[NDArray[np.uint8], ImageInfo]]) -> list[OnCard[FeatureMap]]:
    return extractor.begin([image for image, _ in images])


def _write(job: Job, info: ImageInfo, made: FeatureMap | None) -> None:
    feature_map = FeatureMap.failed(str(info.error)) if made is None else made
    feature_map = replace(feature_map, provenance={**provenance(job), **feature_map.provenance}, image_id=info.image_id)
    write_features(job.outputs["features"], feature_map, job.options["extractor"]["stored"])
