"""Rule pooled: one image's feature map and regions to its region features."""

import numpy as np

from regionflow.formats import pooled
from regionflow.formats import regions as records
from regionflow.formats.features import read_features
from regionflow.pooled.pool import PoolingOptions, Status, pool
from regionflow.run.adapters import provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    regions = records.read(job.input("regions"))
    feature_map = read_features(job.input("features"))
    error = regions.image.error or feature_map.error
    features, kept, status = np.empty((0, len(feature_map.features)), np.float32), [], []
    if error is None:
        options = PoolingOptions.model_validate(job.options["pooling"])
        result = pool(feature_map, records.masks(regions), options)
        features, kept = result.features, [regions.annotations[i] for i in result.region]
        status = [Status(result.status[i]).name.lower() for i in result.region]
    pooled.write(job.outputs["pooled"], features, kept, status, provenance=provenance(job), error=error)
