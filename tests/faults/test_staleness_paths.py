"""Paths to which Snakemake gives a meaning of its own: images may lie anywhere, other files are refused by name."""

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.forked import snakemake
from helpers.scenes import save_photos
from regionflow.run.preflight import unsafe_path


@pytest.mark.parametrize("name", ["{x}.pth", "<logs>.pth", "a<b.pth", "a\nb.pth", "{.pth"])
def test_names_that_snakemake_expands_are_told(name):
    assert "rename it" in unsafe_path(name)


@pytest.mark.parametrize("name", ["a b.pth", "it's.pth", "ümläut.pth", "[1].pth", "a*.pth", "$HOME.pth"])
def test_other_names_are_taken(name):
    assert unsafe_path(name) == ""


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"segmenters": {"graph": None, "s": {"type": "sam", "checkpoint": "w{x}.pth"}}}, "segmenters.s"),
        ({"segmenters": {"s": {"type": "sam", "checkpoint": "w<logs>.pth"}}}, "segmenters.s"),
        ({"clusters": {"model": "m<logs>.h5"}}, "clusters.model"),
    ],
)
def test_the_plan_names_the_key(tmp_path, config, key):
    save_photos(tmp_path / "photos", ["a.png"])
    for name in ("w{x}.pth", "w<logs>.pth", "m<logs>.h5"):
        (tmp_path / name).write_bytes(b"x")
    config = {group: {name: value for name, value in options.items() if value} for group, options in config.items()}
    if "segmenters" in config:
        config["regions"] = {"default": {"segmenter": "s"}}
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump({"images": {"dir": "photos"}, **config}))
    plan = snakemake(tmp_path, configuration, "-n")
    assert plan.code != 0
    assert key in plan.output
    assert "rename it" in plan.output


@pytest.mark.parametrize("name", ["{x}", "<logs>", "<nothing>", "it's {odd}", "a b"])
def test_images_may_lie_in_a_folder_of_any_name(tmp_path, name):
    save_photos(tmp_path / name, ["a.png"])
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump({"images": {"dir": name}}))
    plan = snakemake(tmp_path, configuration, "-n")
    assert plan.code == 0, plan.output
    assert plan.jobs()["masks"] == 1


@pytest.mark.parametrize("name", ["{x}", "<logs>"])
def test_ground_truth_and_names_of_clusters_may_lie_anywhere(tmp_path, name):
    save_photos(tmp_path / "photos", ["a.png"])
    (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((96, 120), np.uint8)).save(tmp_path / name / "a.png")
    (tmp_path / name / "names.csv").write_text("value,name\n0,sky\n")
    truth = {"type": "label_maps", "dir": name, "values": "classes", "classes": f"{name}/names.csv"}
    values = {"images": {"dir": "photos"}, "truth": truth, "exports": {"class_list": f"{name}/names.csv"}}
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump(values))
    plan = snakemake(tmp_path, configuration, "-n", "evaluate", "export", "results/report/evaluation.html")
    assert plan.code == 0, plan.output
    assert plan.jobs()["cluster_scores"] == 1
    (tmp_path / name / "a.png").unlink()
    (tmp_path / name / "names.csv").unlink()
    gone = snakemake(tmp_path, configuration, "-n", "evaluate")
    assert gone.code != 0 and f"{name}/names.csv is not there" in gone.output
