"""Rule clusters: the region features of the set to fitted clusters."""

from regionflow.formats.clusters import write_clusters
from regionflow.formats.pooled import SetColumn, rows_of
from regionflow.labels.kmeans import fit
from regionflow.labels.options import ClustersOptions
from regionflow.labels.splits import fit_parts
from regionflow.run.adapters import images_of, provenance
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ClustersOptions.model_validate(job.options["clusters"])
    parts = fit_parts(images_of(job), options.fit_splits)
    pooled = job.input("pooled")
    fitted = fit(SetColumn(pooled), options, [rows_of(pooled, part) for part in parts])
    print(
        f"{fitted.regions} regions of {sum(map(len, parts))} images, {options.k} clusters, {fitted.epochs} epochs, "
        f"inertia {fitted.inertia:.6g}, silhouette {fitted.silhouette:.3f}, {int((fitted.sizes == 0).sum())} empty, "
        f"{fitted.reassignments} reassignments"
    )
    write_clusters(job.outputs["centroids"], fitted, provenance(job))
