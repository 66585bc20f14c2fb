"""Rule labels: one image's region features and the clusters to its label map and table."""

import numpy as np

from regionflow.formats.clusters import read_centres
from regionflow.formats.labels import labels_of, write_label_map, write_labels
from regionflow.formats.pooled import read_pooled
from regionflow.formats.regions import SLIC, read_regions
from regionflow.formats.rle import to_label_map
from regionflow.labels.kmeans import predict
from regionflow.run.job import Job


def run(job: Job) -> None:
    regions, features = read_regions(job.input("regions")), read_pooled(job.input("pooled"))
    cluster, distance = predict(features.features, read_centres(job.input("centroids")))
    labelled = [regions.annotations[i] for i in features.regions]
    # The place of the smallest region at each pixel, + 1: from it follow the cluster of a pixel and what covers it.
    painted = to_label_map([a["segmentation"] for a in labelled], range(1, len(labelled) + 1), *regions.size)
    write_label_map(job.outputs["map"], np.concatenate([[0], cluster + 1])[painted])
    in_mask = np.array([False, *(a["source"] != SLIC for a in labelled)])[painted]
    covered = {"masks": _share(in_mask), "regions": _share(painted > 0)}
    ids = [a["region_id"] for a in labelled]
    write_labels(job.outputs["table"], labels_of(regions.image.image_id, ids, cluster, distance, covered))


def _share(pixels: np.ndarray) -> float:
    return float(pixels.mean()) if pixels.size else 0.0
