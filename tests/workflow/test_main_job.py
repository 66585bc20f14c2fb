"""The main job on real files: every target, every format, one bad image, exact reruns."""

import csv
import json
import re
import shutil

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco

from helpers.scenes import ODD, save_photos
from helpers.workflow import ROOT
from regionflow.formats.hdf5 import read_attribute

IMAGES = ["broken", "one", ODD, "wide"]
GOOD = IMAGES[1:]
VARIANT = "daisy_lab/default"


def records(workspace, folder, image):
    return json.loads(workspace.path(f"results/{folder}/{image}.json").read_text())


def test_every_target_is_made_and_nothing_is_left_to_do(workspace):
    for image in IMAGES:
        for file in (
            f"features/daisy_lab/{image}.h5",
            f"masks/merge_tree/{image}.json",
            f"superpixels/slic/{image}.png",
            f"superpixels/slic/{image}.json",
            f"regions/default/{image}.json",
            f"pooled/{VARIANT}/{image}.h5",
            f"labels/{VARIANT}/{image}.png",
            f"labels/{VARIANT}/{image}.json",
            f"report/{VARIANT}/overlays/{image}.jpg",
        ):
            assert workspace.path(f"results/{file}").stat().st_size > 0, file
    for file in (
        "images.tsv",
        "problems.tsv",
        f"pooled/{VARIANT}.h5",
        f"clusters/{VARIANT}/centroids.h5",
        f"report/{VARIANT}/contact_sheet.jpg",
    ):
        assert workspace.path(f"results/{file}").stat().st_size > 0, file
    assert "Nothing to be done" in workspace.snakemake("-n").output


@pytest.mark.parametrize("folder", ["masks/merge_tree", "superpixels/slic", "regions/default"])
@pytest.mark.parametrize("image", GOOD)
def test_rle_area_and_bbox_of_every_record_agree(finished, folder, image):
    content = records(finished[0], folder, image)
    size = [content["image"]["height"], content["image"]["width"]]
    assert content["annotations"]
    for number, a in enumerate(content["annotations"]):
        decoded = coco.decode(a["segmentation"])
        assert list(decoded.shape) == size
        assert a["area"] == decoded.sum() > 0
        assert a["bbox"] == coco.toBbox(a["segmentation"]).tolist()
        assert a["id"] == number
        assert a["region_id"] == f"{image}_region_{number}"
    assert content["generator"]["params"]["stage_version"] >= 1


@pytest.mark.parametrize("image", GOOD)
def test_regions_cover_all_that_superpixels_give_back_under_the_rule(finished, image):
    masks, regions = (records(finished[0], f, image)["annotations"] for f in ("masks/merge_tree", "regions/default"))
    covered = np.any([coco.decode(a["segmentation"]) for a in masks], axis=0)
    labels = np.asarray(Image.open(finished[0].path(f"results/superpixels/slic/{image}.png")))
    expected = covered.copy()
    for label in np.unique(labels):
        part = (labels == label) & ~covered
        if part.sum() >= 300:
            expected |= part
    assert (np.any([coco.decode(a["segmentation"]) for a in regions], axis=0) == expected).all()
    assert [a["segmentation"] for a in regions[: len(masks)]] == [a["segmentation"] for a in masks]


@pytest.mark.parametrize("image", GOOD)
def test_label_map_is_the_smallest_regions_cluster_plus_one(finished, image):
    workspace, _ = finished
    regions = records(workspace, "regions/default", image)["annotations"]
    table = {r["region_id"]: r["cluster"] for r in records(workspace, f"labels/{VARIANT}", image)["regions"]}
    found = np.asarray(Image.open(workspace.path(f"results/labels/{VARIANT}/{image}.png")))
    expected = np.zeros(found.shape, int)
    for a in sorted(regions, key=lambda a: (-a["area"], -a["id"])):
        expected[coco.decode(a["segmentation"]) > 0] = table[a["region_id"]] + 1
    assert (found == expected).all()
    assert found.max() > 0


def test_set_file_holds_every_region_and_labels_are_the_nearest_centres(finished):
    workspace, _ = finished
    with h5py.File(workspace.path(f"results/pooled/{VARIANT}.h5")) as file:
        ids, features = file["image_ids"].asstr()[:].tolist(), file["features"][:]
        image, region = file["image"][:], file["region"][:]
    with h5py.File(workspace.path(f"results/clusters/{VARIANT}/centroids.h5")) as file:
        centres = file["centroids"][:]
    assert ids == IMAGES
    assert np.isfinite(features).all()
    nearest = ((features[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
    row = 0
    for number, name in enumerate(IMAGES):
        for entry in records(workspace, f"labels/{VARIANT}", name)["regions"]:
            assert (image[row], entry["region_id"]) == (number, f"{name}_region_{region[row]}")
            assert entry["cluster"] == nearest[row]
            row += 1
    assert row == len(features)


def test_a_broken_image_is_recorded_everywhere_and_stops_nothing(finished):
    workspace, run = finished
    with workspace.path("results/problems.tsv").open() as file:
        (problem,) = csv.DictReader(file, delimiter="\t")
    assert problem["image"] == "broken"
    assert "truncated" in problem["reason"]
    (log,) = workspace.path(".snakemake/log").iterdir()
    for text in (run.output, log.read_text()):
        end = text[text.index("1 image(s) could not be read") :]
        assert "photos/broken.jpg: " + problem["reason"] in end
        assert "steps (100%) done" not in end
    for folder in ("masks/merge_tree", "superpixels/slic", "regions/default"):
        content = records(workspace, folder, "broken")
        assert content["annotations"] == []
        assert content["image"]["error"] == problem["reason"]
    with h5py.File(workspace.path(f"results/pooled/{VARIANT}/broken.h5")) as file:
        assert file["features"].shape[0] == 0
        assert read_attribute(file, "error") == problem["reason"]
    with workspace.path("results/images.tsv").open() as file:
        status = {row["id"]: row["status"] for row in csv.DictReader(file, delimiter="\t")}
    assert status == {name: "unreadable" if name == "broken" else "ok" for name in IMAGES}


def test_on_bad_image_fail_makes_it_a_failure(workspace):
    workspace.config = {**workspace.config, "images": {"dir": "photos", "on_bad_image": "fail"}}
    workspace.path("results/masks/merge_tree/broken.json").unlink()
    run = workspace.snakemake("results/masks/merge_tree/broken.json", ok=False)
    assert run.code != 0
    assert (
        "photos/broken.jpg: damaged: image file is truncated"
        in workspace.path("logs/masks/merge_tree/broken.log").read_text()
    )
    assert not workspace.path("results/masks/merge_tree/broken.json").exists()


def test_changed_compactness_remakes_superpixels_and_what_hangs_on_them(workspace):
    workspace.config = {**workspace.config, "superpixels": {"slic": {"compactness": 20.0}}}
    assert workspace.snakemake("-n").jobs() == {
        "superpixels": 4, "regions": 4, "pooled": 4, "pooled_set": 1, "clusters": 1, "labels": 4, "overlay": 4,
        "contact_sheet": 1,
    }  # fmt: skip


def test_feature_maps_that_are_not_kept_are_not_missed(workspace):
    workspace.config = {**workspace.config, "runtime": {"keep_features": False}}
    assert "Nothing to be done" in workspace.snakemake("-n").output
    shutil.rmtree(workspace.path("results/features"))
    shutil.rmtree(workspace.path("results/pooled"))
    workspace.snakemake()
    assert not list(workspace.path("results/features").rglob("*.h5"))
    assert "Nothing to be done" in workspace.snakemake("-n").output


def test_an_added_photo_runs_its_own_chain_the_set_and_the_labels(workspace):
    save_photos(workspace.path("photos"), ["added.png"])
    run = workspace.snakemake("-n")
    per_image = {"features": 1, "masks": 1, "superpixels": 1, "regions": 1, "pooled": 1}
    whole_set = {"images": 1, "problems": 1, "pooled_set": 1, "clusters": 1, "contact_sheet": 1}
    assert run.jobs() == per_image | whole_set | {"labels": 5, "overlay": 5}
    chain = {f for f in run.files() if f.split("/")[1] in ("features", "masks", "superpixels", "regions")}
    assert all(f.endswith(("/added.h5", "/added.json", "/added.png")) for f in chain)


def test_one_regions_file_needs_just_its_chain(workspace):
    run = workspace.snakemake("-n", "--forceall", "results/regions/default/one.json")
    assert run.jobs() == {"masks": 1, "superpixels": 1, "regions": 1}


def test_two_extractors_and_two_kinds_of_region_share_the_masks(workspace):
    workspace.config = {
        **workspace.config,
        "extractors": {"vit": {"type": "timm", "model": "test_vit", "random_seed": 0}},
        "regions": {"sam": {"segmenter": "merge_tree", "superpixels": None}},
        "targets": {"extractors": ["daisy_lab", "vit"], "regions": ["default", "sam"]},
    }
    jobs = workspace.snakemake("-n", "--forceall").jobs()
    assert (jobs["masks"], jobs["superpixels"], jobs["regions"], jobs["features"]) == (4, 4, 8, 8)
    assert (jobs["pooled"], jobs["clusters"], jobs["labels"]) == (16, 4, 16)


def test_mistakes_are_told_before_any_job(workspace):
    workspace.config = {**workspace.config, "clusters": {"k": 4, "n": 3}, "superpixels": {"slic": {"compactnes": 3.0}}}
    run = workspace.snakemake(ok=False)
    assert run.code != 0
    assert "clusters.n: unknown key" in run.output
    assert "superpixels.slic.compactnes: unknown key; did you mean compactness?" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("masks/merge_tree/nobody.json", "there is no image 'nobody' in photos"),
        (
            "masks/grph/one.json",
            "'grph' is not declared under segmenters in the configuration; did you mean graph?",
        ),
        ("superpixels/fine/one.json", "'fine' is not declared under superpixels"),
        ("labels/dino/default/one.png", "'dino' is not declared under extractors"),
        ("labels/daisy_lab/nothing/one.png", "'nothing' is not declared under regions"),
    ],
)
def test_a_target_that_names_something_unknown_is_told_so(workspace, target, message):
    run = workspace.snakemake(f"results/{target}", ok=False)
    assert run.code != 0
    assert message in run.output


def test_too_few_regions_is_a_message_with_both_numbers(workspace):
    workspace.config = {**workspace.config, "clusters": {"k": 60000}}
    workspace.snakemake(f"results/clusters/{VARIANT}/centroids.h5", ok=False)
    log = workspace.path(f"logs/clusters/{VARIANT}.log").read_text()
    assert re.match(r"error: \d+ usable regions .* are fewer than clusters\.k = 60000", log)
    assert "Traceback" not in log


def test_the_shipped_configuration_plans(workspace):
    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    workspace.config = shipped
    jobs = workspace.snakemake("-n").jobs()
    assert jobs["masks"] >= 8
    assert jobs["masks"] == jobs["features"] == jobs["labels"]


def test_the_end_of_a_run_names_what_to_look_at(finished) -> None:
    workspace, run = finished
    named = run.output[run.output.index("regionflow: look at") :].split("\n")[1:3]
    assert [line.strip() for line in named] == [
        "results/report/daisy_lab/default/contact_sheet.jpg",
        "results/pooled/daisy_lab/default.h5",
    ]
    assert all(workspace.path(line.strip()).is_file() for line in named)
