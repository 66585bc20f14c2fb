"""Files of images that have left the set are found, counted and removed, and no others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.forked import snakemake
from helpers.scenes import save_photos
from regionflow.run.prune import leftovers, prune, told_leftovers

PATTERNS = [
    ("results/masks", r"results/masks/(?P<segmenter>[^/]+)/(?P<image>.+)\.json"),
    ("results/pooled", r"results/pooled/(?P<extractor>[^/]+)/(?P<regions>[^/]+)/(?P<image>.+)\.h5"),
    ("results/pooled", r"results/pooled/(?P<extractor>[^/]+)/(?P<regions>[^/]+)\.h5"),
    ("results/semantics", r"results/semantics/(?P<regions>[^/]+)/(?P<image>.+)\.tsv"),
    ("results/semantics", r"results/semantics/(?P<regions>[^/]+)/classes\.tsv"),
    ("results", r"results/images\.tsv"),
]
FILES = [
    "results/images.tsv",
    "results/masks/sam/a.json",
    "results/masks/sam/gone.json",
    "results/masks/sam/sub/gone.json",
    "results/masks/notes.txt",
    "results/pooled/vit/default.h5",
    "results/pooled/vit/default/a.h5",
    "results/pooled/vit/default/gone.h5",
    "results/semantics/default/classes.tsv",
    "results/semantics/default/gone.tsv",
]
GONE = [file for file in FILES if "gone" in file]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    return tmp_path


def test_only_files_of_images_outside_the_set_are_left_over(folder):
    assert sorted(map(str, leftovers(PATTERNS, ["a"]))) == GONE
    assert told_leftovers(PATTERNS, ["a"]).startswith("4 file(s) are of 2 image(s) that have left the set")
    assert told_leftovers(PATTERNS, ["a", "gone", "sub/gone"]) == ""


def test_pruning_removes_them_and_their_empty_folders(folder):
    assert sorted(map(str, prune(PATTERNS, ["a"]))) == GONE
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert [path for path in left if path.startswith("results")] == sorted(set(FILES) - set(GONE))
    assert not Path("results/masks/sam/sub").exists()
    assert prune(PATTERNS, ["a"]) == {}


def test_the_rule_lists_and_removes(tmp_path):
    save_photos(tmp_path / "photos", ["a.png", "b.png"])
    configuration = tmp_path / "config.yaml"
    configuration.write_text(
        yaml.safe_dump({"images": {"dir": "photos"}, "regions": {"default": {"segmenter": "graph"}}})
    )
    plan = snakemake(tmp_path, configuration, "-n")
    assert plan.code == 0, plan.output
    for file in (*plan.files(), "logs/masks/graph/b.log"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "photos/b.png").unlink()
    listed = snakemake(tmp_path, configuration, "prune", "-n")
    assert listed.code == 0, listed.output
    for file in ("results/masks/graph/b.json", "results/pooled/daisy_lab/default/b.h5", "logs/masks/graph/b.log"):
        assert file in listed.output
        assert (tmp_path / file).exists()
    assert "a.json" not in listed.output
    done = snakemake(tmp_path, configuration, "prune")
    assert done.code == 0, done.output
    assert [path for path in tmp_path.rglob("b.*") if path.is_file()] == []
    assert (tmp_path / "results/masks/graph/a.json").exists()
    assert (tmp_path / "results/pooled/daisy_lab/default.h5").exists()


def test_the_command_says_what_it_removed(folder):
    Path("photos").mkdir()
    Path("photos/a.png").touch()
    job = {"images": {"dir": "photos"}, "patterns": PATTERNS}
    command = [sys.executable, "-m", "regionflow.run.prune"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:-1] == GONE
    assert "removed 4 file(s) of 2 image(s)" in done.stdout
