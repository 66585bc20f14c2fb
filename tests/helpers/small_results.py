"""A small results/ folder with every kind of file, written by the library in a moment, without a workflow."""

from pathlib import Path

import numpy as np

from regionflow.formats import rle
from regionflow.formats.clusters import Clusters, write_clusters
from regionflow.formats.features import FeatureMap, write_features
from regionflow.formats.geometry import Geometry
from regionflow.formats.images import ImageRow, write_images
from regionflow.formats.labels import labels_of, write_label_map, write_labels
from regionflow.formats.pooled import write_pooled, write_pooled_set
from regionflow.formats.regions import Generator, ImageInfo, annotation, read_regions, write_regions
from regionflow.formats.semantics import RegionClass, Semantics, write_semantics

HEIGHT, WIDTH, CHANNELS = 28, 42, 5
MADE_BY = Generator("test", {})


def make(root: Path, images: tuple[str, ...] = ("a", "sub/b"), regions: int = 4) -> list[Path]:
    """Write the files of some images of equal size; returns them all."""
    rng = np.random.default_rng(0)
    for image in images:
        info = ImageInfo(image, f"{image}.png", HEIGHT, WIDTH)
        labels = np.sort(rng.integers(0, regions, (HEIGHT, WIDTH)), axis=1)
        records = [annotation(mask, "slic") for mask in rle.from_label_map(labels).values()]
        write_regions(root / f"masks/graph/{image}.json", info, records[:2], MADE_BY)
        write_regions(root / f"superpixels/slic/{image}.json", info, records, MADE_BY)
        write_label_map(root / f"superpixels/slic/{image}.png", labels, image)
        geometry = Geometry.pad_to_multiple(HEIGHT, WIDTH, 14)
        features = FeatureMap(rng.random((CHANNELS, *geometry.grid), np.float32), geometry, image_id=image)
        write_features(root / f"features/daisy/{image}.h5", features)
        region_file = root / f"regions/default/{image}.json"
        write_regions(region_file, info, records, MADE_BY)
        made = read_regions(region_file)
        ids = [a["region_id"] for a in made.annotations]
        about = {"image": info, "regions_sha256": made.sha256, "provenance": {}}
        rows = rng.random((len(ids), CHANNELS), np.float32)
        write_pooled(root / f"pooled/daisy/default/{image}.h5", rows, made.annotations, ["pooled"] * len(ids), **about)
        cluster, distance = np.arange(len(ids)) % 2, np.ones(len(ids))
        labelled = labels_of(image, ids, cluster, distance, {"masks": 0.5, "regions": 1.0}, regions_sha256=made.sha256)
        write_labels(root / f"labels/daisy/default/{image}.json", labelled)
        write_label_map(root / f"labels/daisy/default/{image}.png", labels % 2 + 1, image)
        classes = [RegionClass(name, 1, 0.5, [(1, 0.5)], "regions") for name in ids]
        named = Semantics(info, ["sky"], classes, {"regions": 1.0, "dense": 0.0, "none": 0.0}, MADE_BY, made.sha256)
        write_semantics(root / f"semantics/few/default/{image}.json", named)
        write_label_map(root / f"semantics/few/default/{image}.png", np.ones_like(labels), image)
    pooled = {image: root / f"pooled/daisy/default/{image}.h5" for image in images}
    write_pooled_set(root / "pooled/daisy/default.h5", pooled, {})
    fitted = Clusters(np.eye(2, CHANNELS, dtype=np.float32), np.array([2, 2]), 0.1, 0.2, 3, 0, 4, 0)
    write_clusters(root / "clusters/daisy/default/centroids.h5", fitted, {})
    write_images(root / "images.tsv", [ImageRow(i, f"{i}.png", "", HEIGHT, WIDTH, "0" * 64, "ok") for i in images])
    return sorted(path for path in root.rglob("*") if path.is_file())
