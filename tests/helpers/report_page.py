"""A report page of drawn regions, made by the library alone, and a browser with real keys and a real pointer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers.browser import CHROMIUM, FLAGS
from regionflow.formats import rle
from regionflow.formats.clusters import Clusters, write_clusters
from regionflow.formats.features import FeatureMap, write_features
from regionflow.formats.geometry import Geometry
from regionflow.formats.images import ImageRow, write_images
from regionflow.formats.labels import labels_of, write_labels
from regionflow.formats.pooled import write_pooled, write_pooled_set
from regionflow.formats.regions import Generator, ImageInfo, annotation, read_regions, write_regions
from regionflow.formats.semantics import RegionClass, Semantics, write_semantics
from regionflow.report.build import Limits, Sources, build
from regionflow.report.named import LabelerFiles

CHANNELS, MADE_BY = 6, Generator("test", {})
CLASSES = ["sky", "tree"]


@dataclass(frozen=True)
class Page:
    """The page, and the region files that it was made from."""

    path: Path
    masks: dict[str, list[NDArray[np.bool_]]]
    root: Path

    def regions(self, image: str) -> Any:
        """The region file of an image."""
        return read_regions(self.root / f"regions/{image}.json", image)


def make(root: Path, masks: dict[str, list[NDArray[np.bool_]]], side: int = 640, shown: int = 96) -> Page:
    """Write all files of images with these regions, and their page."""
    rng = np.random.default_rng(0)
    rows = [_image(root, image, own, rng) for image, own in masks.items()]
    write_images(root / "images.tsv", rows)
    write_pooled_set(root / "pooled.h5", {image: root / f"pooled/{image}.h5" for image in masks}, {})
    fitted = Clusters(np.eye(3, CHANNELS, dtype=np.float32), np.array([2, 2, 2]), 0.1, 0.2, 3, 0, 4, 0)
    write_clusters(root / "centroids.h5", fitted, {"options": {"k": 3}})
    files = {"table": "images.tsv", "pooled": "pooled.h5", "centroids": "centroids.h5", "records": "records"}
    patterns = {"labels": "json", "regions": "json", "features": "h5", "pooled_images": "h5"}
    files |= {name: f"{name.removesuffix('_images')}/{{image}}.{suffix}" for name, suffix in patterns.items()}
    few = LabelerFiles(root / "semantics/{image}.json")
    sources = Sources(**{name: root / file for name, file in files.items()}, labelers={"few": few})
    path = root / "report.html"
    reading = {"max_megapixels": 250, "scale_16bit": "range", "bands": None}
    build(path, "test / drawn", sources, Limits(shown, side, 4, 500, 1000, reading))
    return Page(path, masks, root)


def _image(root: Path, image: str, masks: Sequence[NDArray[np.bool_]], rng: np.random.Generator) -> ImageRow:
    height, width = masks[0].shape
    info = ImageInfo(image, f"{image}.png", height, width)
    records = [annotation(rle.encode(m), "merge_tree", predicted_iou=0.5 + i % 50 / 100) for i, m in enumerate(masks)]
    write_regions(root / f"regions/{image}.json", info, records, MADE_BY)
    made = read_regions(root / f"regions/{image}.json")
    ids = [a["region_id"] for a in made.annotations]
    about = {"image": info, "regions_sha256": made.sha256, "provenance": {}}
    vectors = rng.random((len(ids), CHANNELS), np.float32)
    write_pooled(root / f"pooled/{image}.h5", vectors, made.annotations, ["pooled"] * len(ids), **about)
    cluster = np.arange(len(ids)) % 3
    shares = {"masks": 0.5, "regions": 0.5}
    labels = labels_of(image, ids, cluster, np.ones(len(ids)), shares, regions_sha256=made.sha256)
    write_labels(root / f"labels/{image}.json", labels)
    named = [RegionClass(name, i % 3, 0.5, [(i % 3, 0.5)], "regions") for i, name in enumerate(ids)]
    shares = {"regions": 1.0, "dense": 0.0, "none": 0.0}
    write_semantics(root / f"semantics/{image}.json", Semantics(info, CLASSES, named, shares, MADE_BY, made.sha256))
    geometry = Geometry.pad_to_multiple(height, width, 14)
    features = FeatureMap(rng.random((CHANNELS, *geometry.grid), np.float32), geometry, image_id=image)
    write_features(root / f"features/{image}.h5", features)
    photo = root / f"photos/{image}.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(photo)
    return ImageRow(image, str(photo), "", height, width, "0" * 64, "ok")


@contextmanager
def opened(path: Path, width: int = 1400, scheme: str = "light", before: str = "") -> Iterator[Any]:
    """A tab with the page in Chromium, ready; errors of the page or the console fail at the end.

    `before` is a script that runs before those of the page. Skips where Chromium or Playwright is missing.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'regionflow[browser]'")
    flags = [flag for flag in FLAGS if not flag.startswith(("--headless", "--virtual-time", "--window", "--enable"))]
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=flags)
        tab = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        if before:
            tab.add_init_script(before)
        tab.goto(path.resolve().as_uri())
        tab.wait_for_selector("body[data-ready]", state="attached")
        yield tab
        browser.close()
    assert not errors
