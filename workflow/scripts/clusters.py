"""Rule clusters: the region features of the set to fitted clusters."""

import h5py

from regionflow import clusters
from regionflow.config.types import ClustersOptions
from regionflow.job import Job
from regionflow.stage_io import provenance


def run(job: Job) -> None:
    options = ClustersOptions.model_validate(job.options["clusters"])
    with h5py.File(job.input("pooled")) as pooled:
        fitted = clusters.fit(pooled["features"], options)
    print(f"{fitted.regions} regions, {options.k} clusters, {fitted.epochs} epochs, inertia {fitted.inertia:.6g}")
    clusters.write(job.outputs["centroids"], fitted, provenance(job))
