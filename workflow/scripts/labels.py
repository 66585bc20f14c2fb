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
    image = job.names["image"]
    regions = read_regions(job.input("regions"), image)
    features = read_pooled(job.input("pooled"), image, regions.sha256)
    # Frozen centres may come from anywhere: their content is among the options.
    centres = read_centres(job.input("centroids"), foreign=job.options["model_sha256"] is not None)
    cluster, distance = predict(features.features, centres)
    labelled = [regions.annotations[i] for i in features.regions]
    # The place of the smallest region at each pixel, + 1: from it follow the cluster of a pixel and what covers it.
    painted = to_label_map([a["segmentation"] for a in labelled], range(1, len(labelled) + 1), *regions.size)
    write_label_map(job.outputs["map"], np.concatenate([[0], cluster + 1])[painted], image)
    in_mask = np.array([False, *(a["source"] != SLIC for a in labelled)])[painted]
    covered = {"masks": _share(in_mask), "regions": _share(painted > 0)}
    ids = [a["region_id"] for a in labelled]
    write_labels(job.outputs["table"], labels_of(image, ids, cluster, distance, covered, regions_sha256=regions.sha256))


def _share(pixels: np.ndarray) -> float:
    return float(pixels.mean()) if pixels.size else 0.0
