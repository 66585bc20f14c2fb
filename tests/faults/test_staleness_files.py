"""Weights, tables, examples and corrected masks are known by their content: another file in their place is seen."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regionflow.config.load import load_config
from regionflow.run.stages import stage_options

REGIONS, LABELER = {"extractor": "e", "regions": "default"}, {"labeler": "l", "regions": "default", "image": "a"}
EXAMPLES = {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab", "classes": ["sky", "sea"]}
MODEL = {"labelers": {"l": {"type": "transformers", "model": "model"}}}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}],
    "categories": [{"id": 1, "name": "sky"}],
}
CASES: dict[str, tuple[dict[str, Any], str, dict[str, str], bytes, bytes]] = {
    # the configuration, the stage and its names; what is in the file, and what is in the one that takes its place
    "sam.pth": (
        {"segmenters": {"s": {"type": "sam", "checkpoint": "sam.pth"}}},
        "masks",
        {"segmenter": "s"},
        b"1",
        b"2",
    ),
    "timm.pth": (
        {"extractors": {"e": {"type": "timm", "model": "vit_tiny_patch16_224", "checkpoint": "timm.pth"}}},
        *("features", {"extractor": "e"}, b"1", b"2"),
    ),
    "masks.json": (
        {"segmenters": {"s": {"type": "from_coco", "file": "masks.json"}}},
        *("masks", {"segmenter": "s", "image": "a"}),
        *(json.dumps(COCO).encode(), json.dumps(COCO).replace("sky", "sea").encode()),
    ),
    "centroids.h5": ({"clusters": {"model": "centroids.h5"}}, "labels", REGIONS, b"1", b"2"),
    "names.csv": (
        {"exports": {"class_list": "names.csv"}},
        *("coco", REGIONS, b"value,name\n1,sky\n", b"value,name\n1,sea\n"),
    ),
    "examples.tsv": ({"labelers": {"l": EXAMPLES}}, "classifier", LABELER, b"1", b"2"),
    "classes.tsv": (
        {"labelers": {"l": {**EXAMPLES, "tables": ["classes.tsv"]}}},
        *("semantics", LABELER, b"source\ttarget\nsky\tair\n", b"source\ttarget\nsky\tsea\n"),
    ),
    "start.safetensors": ({"parts": {"training": {"start": "start.safetensors"}}}, "parts_model", {}, b"1", b"2"),
    **{
        f"model/{name}": (MODEL, "semantics", LABELER, b"1", b"2")
        for name in ("config.json", "preprocessor_config.json", "model.safetensors", "model-00001-of-00002.safetensors")
    },
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Callable]:
    """A file of a case, and what Snakemake compares of the stage that reads it."""
    values, stage, names, content, _ = CASES[request.param]
    monkeypatch.chdir(tmp_path)
    path = Path(request.param)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path, lambda: stage_options(load_config(values), stage, names)


@pytest.mark.parametrize("time", [1, 4_000_000_000, None], ids=["older", "newer", "same"])
def test_another_file_in_its_place_is_seen_whatever_its_time(case: tuple[Path, Callable], time: int | None) -> None:
    path, recorded = case
    before, stat = recorded(), path.stat()
    other = path.with_name("other")
    other.write_bytes(CASES[str(path)][-1])
    os.utime(other, ns=(stat.st_mtime_ns,) * 2) if time is None else os.utime(other, (time, time))
    other.replace(path)
    assert path.stat().st_size == stat.st_size
    assert recorded() != before


def test_a_touched_file_is_the_same(case: tuple[Path, Callable]) -> None:
    path, recorded = case
    before = recorded()
    path.touch()
    assert recorded() == before
