"""Ground truth is known by its content: an older file in a file's place is seen, a touched one makes nothing again."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regionflow.config.load import load_config
from regionflow.run.stages import stage_options

IMAGES = ["a", "sub/b"]
KINDS = {
    "coco": {"type": "coco", "file": "truth.json"},
    "panoptic": {"type": "panoptic", "file": "truth.json", "dir": "maps"},
    "folder": {"type": "label_maps", "dir": "maps", "values": "classes", "classes": "classes.csv"},
    "column": {"type": "label_maps", "column": "truth"},
}
FILES = {
    "coco": ["truth.json"],
    "panoptic": ["truth.json", "maps/a.png", "maps/sub/b.png"],
    "folder": ["maps/a.png", "maps/sub/b.png", "classes.csv"],
    "column": ["maps/a.png", "maps/sub/b.png"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for image in IMAGES:
        for place in ("photos", "maps"):
            path = tmp_path / place / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    (tmp_path / "truth.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    (tmp_path / "classes.csv").write_text("value,name\n0,sky\n")
    rows = "".join(f"{image}\tphotos/{image}.png\tmaps/{image}.png\n" for image in IMAGES)
    (tmp_path / "table.tsv").write_text("id\tpath\ttruth\n" + rows)
    monkeypatch.chdir(tmp_path)
    yield


def recorded(kind: str) -> dict:
    """What Snakemake compares of the scores of masks."""
    images = {"table": "table.tsv"} if kind == "column" else {"dir": "photos"}
    config = load_config({"images": images, "truth": KINDS[kind]})
    return stage_options(config, "mask_scores", {"segmenter": "merge_tree"})


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
def test_another_file_of_the_same_size_that_is_older_is_seen(kind: str, name: str) -> None:
    before, path = recorded(kind), Path(name)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    os.utime(path, (1, 1))
    assert recorded(kind) != before
    path.write_bytes(sound)
    assert recorded(kind) == before


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
def test_another_file_of_the_same_size_and_time_is_seen(kind: str, name: str) -> None:
    """As unzip, `cp -p` and `rsync -t` leave it."""
    path = Path(name)
    os.utime(path, (1, 1))
    before, sound = recorded(kind), path.read_bytes()
    (path.parent / "other").write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    os.utime(path.parent / "other", (1, 1))
    (path.parent / "other").replace(path)
    assert recorded(kind) != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_touched_file_and_other_files_change_nothing(kind: str) -> None:
    before = recorded(kind)
    for name in FILES[kind]:
        Path(name).touch()
    Path("maps/readme.txt").write_text("about them")
    assert recorded(kind) == before
    if kind in ("panoptic", "folder"):  # the scores name what is of no image
        shutil.copy("maps/a.png", "maps/of_no_image.png")
        assert recorded(kind) != before


def test_without_ground_truth_nothing_is_recorded() -> None:
    assert stage_options(load_config({}), "mask_scores", {"segmenter": "merge_tree"})["truth_sha256"] is None
    gone = load_config({"truth": {"type": "coco", "file": "nowhere.json"}})
    assert stage_options(gone, "mask_scores", {"segmenter": "merge_tree"})["truth_sha256"] is None
