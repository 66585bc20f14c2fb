"""Rule pooled: one image's feature map and regions to its region features."""

import numpy as np

from regionflow.formats.features import read_features
from regionflow.formats.pooled import write_pooled
from regionflow.formats.regions import masks_of, read_regions
from regionflow.pooled.options import PoolingOptions
from regionflow.pooled.pool import Status, pool
from regionflow.run.adapters import provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    regions = read_regions(job.input("regions"), job.names["image"])
    feature_map = read_features(job.input("features"), job.names["image"])
    error = regions.image.error or feature_map.error
    features, kept, status = np.empty((0, len(feature_map.features)), np.float32), [], []
    if error is None:
        options = PoolingOptions.model_validate(job.options["pooling"])
        result = pool(feature_map, masks_of(regions), options)
        features, kept = result.features, [regions.annotations[i] for i in result.region]
        status = [Status(result.status[i]).name.lower() for i in result.region]
    write_pooled(
        job.outputs["pooled"],
        features,
        kept,
        status,
        image=regions.image,
        regions_sha256=regions.sha256,
        provenance=provenance(job),
        error=error,
    )
