"""Rule features: one image to its feature map."""

from dataclasses import replace

from regionflow.formats.features import FeatureMap, write_features
from regionflow.run.adapters import extractor_of, open_image, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    feature_map = FeatureMap.failed(str(info.error)) if image is None else extractor_of(job).extract(image)
    feature_map = replace(feature_map, provenance={**provenance(job), **feature_map.provenance}, image_id=info.image_id)
    write_features(job.outputs["features"], feature_map, job.options["extractor"]["stored"])
