"""What `snakemake export` makes, opened by the tools it is made for."""

import contextlib
import csv
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from helpers.scenes import ODD
from helpers.workflow import Workspace
from regionflow.exports.colour_maps import write_colour_map

VARIANT = "daisy_lab/default"
GOOD = ["one", ODD, "wide"]


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    original, _ = finished
    folder = tmp_path_factory.mktemp("exported") / "copy"
    shutil.copytree(original.folder, folder)
    workspace = Workspace(folder, original.config)
    workspace.snakemake("export")
    return workspace


@pytest.fixture(scope="module")
def coco(exported):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(exported.path(f"results/coco/{VARIANT}.json")))


def read(workspace, folder, image):
    return json.loads(workspace.path(f"results/{folder}/{image}.json").read_text())


def test_pycocotools_loads_every_region_with_its_area_and_cluster(exported, coco):
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [
        "one.png", f"{ODD}.jpg", "wide.png",
    ]  # fmt: skip
    for number, image in enumerate(GOOD, start=1):
        found = coco.loadAnns(coco.getAnnIds(imgIds=number))
        regions = read(exported, "regions/default", image)["annotations"]
        clusters = {r["region_id"]: r["cluster"] for r in read(exported, f"labels/{VARIANT}", image)["regions"]}
        assert [a["region_id"] for a in found] == [a["region_id"] for a in regions]
        for annotation, region in zip(found, regions, strict=True):
            assert annotation["area"] == coco.annToMask(annotation).sum() == region["area"]
            assert annotation["bbox"] == rle.toBbox(annotation["segmentation"]).tolist()
            assert annotation["category_id"] == clusters[region["region_id"]] + 1
    assert min(coco.getAnnIds()) == 1
    assert coco.getCatIds() == [1, 2, 3, 4]


def test_cocoeval_gives_the_set_a_full_score_against_itself(coco):
    results = [{**annotation, "score": 1.0} for annotation in coco.loadAnns(coco.getAnnIds())]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        # Near-duplicates of one mask may swap their matches in the strict thresholds only.
        evaluation.params.maxDets = [1, 100, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]
    assert precision[precision >= 0].mean() > 0.99


@pytest.mark.parametrize("image", GOOD)
def test_a_colour_map_read_back_gives_the_clusters_of_the_table(exported, image):
    with exported.path(f"results/region_tables/{VARIANT}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image_id"] == image]
    regions = {a["region_id"]: a for a in read(exported, "regions/default", image)["annotations"]}
    assert [row["region_id"] for row in rows] == list(regions)
    with Image.open(exported.path(f"results/colour_maps/{VARIANT}/{image}.png")) as picture:
        values, colours = np.asarray(picture), np.asarray(picture.convert("RGB"))
    expected = np.zeros(values.shape, int)
    for row in sorted(rows, key=lambda row: -int(row["area"])):
        expected[rle.decode(regions[row["region_id"]]["segmentation"]) > 0] = int(row["cluster"]) + 1
    assert (values == expected).mean() > 0.999  # equal areas: either order
    assert (values == np.asarray(Image.open(exported.path(f"results/labels/{VARIANT}/{image}.png")))).all()
    with exported.path(f"results/colour_maps/{VARIANT}/classes.csv").open(newline="") as file:
        table = {int(c["value"]): [int(c[x]) for x in ("red", "green", "blue")] for c in csv.DictReader(file)}
    for value in np.unique(values):
        assert (colours[values == value] == table[value]).all()


def test_the_table_has_scores_and_boxes(exported):
    with exported.path(f"results/region_tables/{VARIANT}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert int(row["width"]) * int(row["height"]) >= int(row["area"]) > 0
        assert (row["predicted_iou"] != "") == (row["source"] == "merge_tree")
        assert float(row["distance"]) >= 0


def test_more_clusters_than_a_palette_holds_give_an_rgb_picture(tmp_path):
    labels = np.array([[0, 1], [299, 300]])
    write_colour_map(tmp_path / "map.png", labels, 300)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.mode == "RGB"
        assert np.asarray(picture)[0, 0].tolist() == [0, 0, 0]
