"""Rule labels: one image's region features and the clusters to its label map and table."""

import json

import numpy as np

from regionflow.formats import pooled
from regionflow.formats import regions as records
from regionflow.labels import kmeans as clusters
from regionflow.labels import paint
from regionflow.run.adapters import write_png
from regionflow.run.job import Job


def run(job: Job) -> None:
    regions, features = records.read(job.input("regions")), pooled.read(job.input("pooled"))
    cluster, distance = clusters.predict(features.features, clusters.read_centres(job.input("centroids")))
    chosen = [regions.annotations[i] for i in features.regions]
    painted = paint.label_map([a["segmentation"] for a in chosen], range(1, len(chosen) + 1), *regions.size)
    write_png(job.outputs["map"], np.concatenate([[0], cluster + 1])[painted])
    rows = [
        {"region_id": a["region_id"], "cluster": c, "distance": None if c < 0 else round(d, 6)}
        for a, c, d in zip(chosen, cluster.tolist(), distance.tolist(), strict=True)
    ]
    covered = {
        "masks": _share(np.array([False, *(a["source"] != records.SLIC for a in chosen)])[painted]),
        "regions": _share(painted > 0),
    }
    table = {"image_id": regions.image.image_id, "covered": covered, "regions": rows}
    job.outputs["table"].write_text(json.dumps(table) + "\n", encoding="utf-8")


def _share(pixels: np.ndarray) -> float:
    return round(float(pixels.mean()), 6) if pixels.size else 0.0
