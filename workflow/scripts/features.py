"""Rule features: one image to its feature map."""

from dataclasses import replace

from regionflow import extractors
from regionflow.features import FeatureMap, write_features
from regionflow.job import Job
from regionflow.stage_io import open_image, provenance


def run(job: Job) -> None:
    image, info = open_image(job)
    feature_map = FeatureMap.failed(str(info.error)) if image is None else extractors.for_job(job).extract(image)
    made_by = {**provenance(job), **feature_map.provenance}
    write_features(
        job.outputs["features"], replace(feature_map, provenance=made_by), job.options["extractor"]["stored"]
    )
