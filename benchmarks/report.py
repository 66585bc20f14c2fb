"""Size and load time of the report page for the sample photos and for a set of 5,000 images.

The large set is the small one many times over under other names: as many files, rows and regions as a real one.
Loading is measured in headless Chromium from a file:// address. Run: python benchmarks/report.py [--quick]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from common import ROOT
from helpers import browser
from regionflow.config.load import load_config
from regionflow.formats.features import read_features, write_features
from regionflow.formats.hdf5 import read_provenance
from regionflow.formats.images import (
    ImageRow,
    read_images,
    write_images,
)
from regionflow.formats.labels import Labels, read_label_map, read_labels, write_label_map, write_labels
from regionflow.formats.pooled import read_pooled, write_pooled, write_pooled_set
from regionflow.formats.regions import read_regions, write_regions
from regionflow.formats.semantics import read_semantics, write_semantics
from regionflow.run.job import Job
from regionflow.run.stage import load_adapter
from regionflow.run.stages import stage_options

NAMES = {"extractor": "daisy_lab", "regions": "default"}
VARIANT = "daisy_lab/default"
PATTERNS = {
    "labels": f"labels/{VARIANT}/{{image}}.json",
    "regions": "regions/default/{image}.json",
    "superpixels": "superpixels/slic/{image}.png",
    "features": "features/daisy_lab/{image}.h5",
    "pooled_images": f"pooled/{VARIANT}/{{image}}.h5",
    "semantics:sample_photos": "semantics/sample_photos/default/{image}.json",
}
FIT = "classifiers/sample_photos/default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 images in place of 5,000")
    many = 500 if parser.parse_args().quick else 5000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["-s", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config" / "config.yaml")]
        command += ["--directory", name, "--cores", "all"]
        subprocess.run([sys.executable, "-m", "snakemake", *command], check=True, capture_output=True)
        os.chdir(folder)
        few = read_images(Path("results/images.tsv"))[:8]
        figures: dict[str, float] = {}
        for count in (8, many):
            page, seconds = build(few, count)
            figures[f"mb_{count}"] = round(page.stat().st_size / 1e6, 2)
            figures[f"build_s_{count}"] = round(seconds, 1)
            if browser.CHROMIUM:
                _, errors = browser.drive(page, "return 1")
                assert not errors, errors
                figures[f"load_s_{count}"] = round(browser.seconds(page), 2)
    for key, value in figures.items():
        print(f"{key:16} {value}")
    print(json.dumps(figures))


def write_as(image: str, original: str, results: Path, big: Path) -> None:
    """Write the files of an image under another id, which they name."""
    source = {kind: results / pattern.replace("{image}", original) for kind, pattern in PATTERNS.items()}
    target = {kind: big / pattern.replace("{image}", image) for kind, pattern in PATTERNS.items()}
    regions, pooled = read_regions(source["regions"]), read_pooled(source["pooled_images"])
    info = replace(regions.image, image_id=image)
    write_regions(target["regions"], info, regions.annotations, regions.generator)
    made = read_regions(target["regions"])
    kept = [made.annotations[number] for number in pooled.regions]
    about = {"image": info, "regions_sha256": made.sha256, "provenance": read_provenance(source["pooled_images"])}
    write_pooled(target["pooled_images"], pooled.features, kept, pooled.status, **about)
    labels = read_labels(source["labels"])
    ids = [a["region_id"] for a in kept]
    cluster = dict(zip(ids, labels.cluster.values(), strict=True))
    distance = dict(zip(ids, labels.distance.values(), strict=True))
    write_labels(target["labels"], Labels(image, cluster, distance, labels.covered, made.sha256))
    named = read_semantics(source["semantics:sample_photos"])
    renamed = [replace(r, region_id=a["region_id"]) for r, a in zip(named.regions, made.annotations, strict=True)]
    write_semantics(
        target["semantics:sample_photos"],
        replace(named, image=info, regions=renamed, regions_sha256=made.sha256),
    )
    write_label_map(target["superpixels"], read_label_map(source["superpixels"]), image)
    write_features(target["features"], replace(read_features(source["features"]), image_id=image))


def build(few: list[ImageRow], count: int) -> tuple[Path, float]:
    """The page of a set of so many images, and the seconds that making it took."""
    results, big = Path("results"), Path(f"set-{count}")
    rows = [ImageRow(**{**vars(few[i % len(few)]), "id": f"photo_{i:05}"}) for i in range(count)]
    for i, row in enumerate(rows):
        write_as(row.id, few[i % len(few)].id, results, big)
    write_images(big / "images.tsv", rows)
    pattern = PATTERNS["pooled_images"]
    write_pooled_set(big / "set.h5", {row.id: big / pattern.replace("{image}", row.id) for row in rows}, {})
    inputs = {name: big / pattern for name, pattern in PATTERNS.items()}
    inputs |= {
        "table": big / "images.tsv",
        "pooled": big / "set.h5",
        "centroids": results / f"clusters/{VARIANT}/centroids.h5",
        "records": Path("logs/records"),
        "classifier:sample_photos": results / f"{FIT}.h5",
        "suggestions:sample_photos": results / f"{FIT}.tsv",
    }
    page = big / "report.html"
    job = Job("page", inputs, {"page": page}, stage_options(load_config({}), "page", NAMES), NAMES)
    started = time.monotonic()
    load_adapter(ROOT / "workflow" / "scripts", "page")(job)
    return page, time.monotonic() - started


if __name__ == "__main__":
    main()
