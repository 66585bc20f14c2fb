"""Rule features: one image to its feature map, or several to theirs, together where the extractor can."""

from collections.abc import Sequence
from dataclasses import replace

from regionflow.base.errors import UserError
from regionflow.formats.features import FeatureMap, write_features
from regionflow.formats.regions import ImageInfo
from regionflow.run.adapters import extractor_of, open_image, provenance
from regionflow.run.job import Job
from regionflow.run.together import Begun, Working, in_turn


def run(job: Job) -> None:
    image, info = open_image(job)
    feature_map = FeatureMap.failed(str(info.error)) if image is None else extractor_of(job).extract(image)
    _write(job, feature_map, info)


def can_work_together(job: Job) -> bool:
    """Whether the extractor has a way for several images."""
    return job.options["extractor"]["type"] == "timm"


def run_together(jobs: Sequence[Job], working: Working) -> None:
    """Images are read and feature maps written while the card works on others."""
    in_turn(jobs, lambda some: _begin(some, working))


def _begin(jobs: Sequence[Job], working: Working) -> Begun:
    opened = []
    for job in jobs:
        with working(job):
            image, info = open_image(job)
            if image is None:
                _write(job, FeatureMap.failed(str(info.error)), info)
                working.done(job)
            else:
                opened.append((job, image, info))
    try:
        begun = extractor_of(jobs[0]).begin([image for _, image, _ in opened]) if opened else list
    except UserError as error:
        for job, _, _ in opened:
            with working(job):
                raise error
        return lambda: None

    def finish() -> None:
        for (job, _, info), feature_map in zip(opened, begun(), strict=True):
            with working(job):
                _write(job, feature_map, info)
                working.done(job)

    return finish


def _write(job: Job, feature_map: FeatureMap, info: ImageInfo) -> None:
    feature_map = replace(feature_map, provenance={**provenance(job), **feature_map.provenance}, image_id=info.image_id)
    write_features(job.outputs["features"], feature_map, job.options["extractor"]["stored"])
