"""Every stage on a few small photos, in this process, as residents would run them: one file of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.forked import snakemake
from helpers.planned import SCRIPTS, begun, jobs_in
from helpers.scenes import save_photos
from helpers.small_sam import LOW_THRESHOLDS
from regionflow.formats.shards import summarize, write_summary
from regionflow.run import origins, stage
from regionflow.run.job import Job
from regionflow.run.models import ModelCache

IMAGES = ["train/a/1", "train/a/2", "train/b/3", "train/b/4", "val/b/5"]
CONFIG: dict[str, Any] = {
    "images": {"dir": "photos", "split_from": "folder"},
    "segmenters": {"small": {"type": "sam", "model": "sam_tiny", **LOW_THRESHOLDS, "points_per_side": 4}},
    "regions": {"default": {"segmenter": "small"}},
    "labelers": {
        "few": {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab", "suggestions": 3},
        "again": {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab", "min_score": 0.6},
    },
    "extractors": {"vit": {"type": "timm", "model": "test_vit", "random_seed": 0}},
    "targets": {"extractors": ["daisy_lab", "vit"], "labelers": ["few", "again"]},
    "clusters": {"k": [3, 2]},
    "truth": {"type": "label_maps", "dir": "truth", "values": "classes", "classes": "classes.csv"},
    "exports": {"coco": {"images": "copy"}, "tables": ["csv", "parquet"]},
    "parts": {
        "teacher": {"segmenter": "small", "grid": 4},
        "embedder": {"model": "test_vit", "random_seed": 0},
        "student": {"size": 32, "patch_size": 2, "dim": 64},
        "training": {"epochs": 1, "optimiser": "adamw"},
        "probe": {"epochs": 1},
    },
}
TARGETS = [
    *("all", "export", "evaluate", "parts", "results/parts/probe/accuracy.json"),
    *("results/masks/merge_tree/train/a/1.json", "results/regions/default/train/a/1.json"),
    *(f"results/report/{extractor}/default/report.html" for extractor in ("daisy_lab", "vit")),
    "results/report/index.html",
    "results/report/evaluation.html",
]


def prepare(folder: Path, config: dict[str, Any]) -> Path:
    """Photos, examples and ground truth; returns the file of the configuration."""
    save_photos(folder / "photos", [f"{name}.png" for name in IMAGES])
    points = zip(IMAGES, ((5, 5), (60, 48), (5, 90), (60, 48)), ("one", "two", "one", "two"), strict=False)
    rows = [("image", "x", "y", "class"), *((image, x, y, name) for image, (x, y), name in points)]
    (folder / "examples.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    (folder / "classes.csv").write_text("value,name\n0,one\n1,two\n")
    for name in IMAGES:
        (folder / "truth" / name).parent.mkdir(parents=True, exist_ok=True)
        halves = (np.arange(96 * 120).reshape(96, 120) > 5000).astype(np.uint8)
        Image.fromarray(halves).save(folder / "truth" / f"{name}.png")
    configuration = folder / "config.yaml"
    configuration.write_text(yaml.safe_dump(config))
    return configuration


def run(folder: Path) -> list[Job]:
    """Make `folder`/results with a file of every kind, and return the jobs in the order in which they ran."""
    plan = snakemake(folder, prepare(folder, CONFIG), "-n", "-p", *TARGETS)
    assert plan.code == 0, plan.output
    jobs, models = [], ModelCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for description in jobs_in(plan.output):
            with begun(description, models) as (job, outputs), origins.kept(job, outputs):
                stage.run(job, SCRIPTS)
            jobs.append(job)
        for shard, images in (("0", IMAGES[:2]), ("1", IMAGES[2:]), ("set", IMAGES)):  # as an inner run ends
            made, _ = summarize(["results/masks/small/{image}.json"], dict.fromkeys(images, ".png"), len(images))
            path = Path(f"results/shards/masks-0/{shard}.json")
            write_summary(path, made)
            origins.keep_alone("shard", path)
    return jobs
