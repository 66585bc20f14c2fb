"""Rule labels: one image's region features and the clusters to its label map and table."""

import json

from regionflow import clusters, paint, pooled, records
from regionflow.job import Job
from regionflow.stage_io import write_png


def run(job: Job) -> None:
    regions, features = records.read(job.input("regions")), pooled.read(job.input("pooled"))
    cluster, distance = clusters.predict(features.features, clusters.read_centres(job.input("centroids")))
    chosen = [regions.annotations[i] for i in features.regions]
    image = regions.image
    masks = [a["segmentation"] for a in chosen]
    write_png(job.outputs["map"], paint.label_map(masks, (cluster + 1).tolist(), image.height, image.width))
    rows = [
        {"region_id": a["region_id"], "cluster": c, "distance": None if c < 0 else round(d, 6)}
        for a, c, d in zip(chosen, cluster.tolist(), distance.tolist(), strict=True)
    ]
    table = {"image_id": image.image_id, "regions": rows}
    job.outputs["table"].write_text(json.dumps(table) + "\n", encoding="utf-8")
