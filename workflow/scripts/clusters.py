"""Rule clusters: the region features of the set to fitted clusters."""

import h5py

from regionflow.config.types import ClustersOptions
from regionflow.formats import images as image_table
from regionflow.formats import pooled
from regionflow.labels import kmeans as clusters
from regionflow.run.adapters import provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ClustersOptions.model_validate(job.options["clusters"])
    chosen = image_table.fit_images(image_table.read_table(job.input("table")), options.fit_splits)
    with h5py.File(job.input("pooled")) as file:
        rows = pooled.rows_of(file, chosen)
    fitted = clusters.fit(pooled.SetColumn(job.input("pooled")), options, rows)
    print(
        f"{fitted.regions} regions of {len(chosen)} images, {options.k} clusters, {fitted.epochs} epochs, "
        f"inertia {fitted.inertia:.6g}, silhouette {fitted.silhouette:.3f}, {int((fitted.sizes == 0).sum())} empty, "
        f"{fitted.reassignments} reassignments"
    )
    clusters.write(job.outputs["centroids"], fitted, provenance(job))
