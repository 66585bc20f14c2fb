"""Rule features: one image to its feature map."""

from dataclasses import replace

from regionflow.features import kinds as extractors
from regionflow.formats.features import FeatureMap, write_features
from regionflow.run.adapters import open_image, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    feature_map = FeatureMap.failed(str(info.error)) if image is None else extractors.for_job(job).extract(image)
    made_by = {**provenance(job), **feature_map.provenance}
    write_features(
        job.outputs["features"], replace(feature_map, provenance=made_by), job.options["extractor"]["stored"]
    )
