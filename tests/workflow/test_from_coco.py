"""From regionflow to an annotation program and back: corrected masks become the masks of a run, image by image."""

import json

import numpy as np

from helpers.scenes import ODD
from regionflow.formats import rle
from regionflow.formats.regions import masks_of, read_regions


def test_corrected_masks_come_back_and_remake_their_image_alone(workspace):
    workspace.snakemake("results/coco/daisy_lab/default.json")
    content = json.loads(workspace.path("results/coco/daisy_lab/default.json").read_text())
    # What a program like CVAT keeps: names, sizes, masks and classes; RLEs uncompressed, no scores.
    images = [{key: image[key] for key in ("id", "file_name", "height", "width")} for image in content["images"]]
    number = {image["file_name"]: image["id"] for image in images}
    records = [{k: r[k] for k in ("id", "image_id", "category_id", "segmentation")} for r in content["annotations"]]
    for record in records:
        mask = record["segmentation"]
        record["segmentation"] = {"size": mask["size"], "counts": rle.counts(mask).tolist()}
    records = [record for record in records if record["image_id"] != number["wide.png"]]
    corrected = {"images": images[:2], "categories": content["categories"], "annotations": records}
    file = workspace.path("corrected.json")
    file.write_text(json.dumps(corrected))
    workspace.config = {
        **workspace.config,
        "segmenters": {"people": {"type": "from_coco", "file": "corrected.json"}},
        "regions": {"people": {"segmenter": "people", "superpixels": None}},
        "targets": {"regions": ["people"]},
        "clusters": {"k": 2},
    }
    run = workspace.snakemake()
    assert "corrected.json has nothing about 2 image(s), which have no masks by it: broken, wide" in run.output
    for image in ("one", ODD):
        path = workspace.path(f"results/regions/people/{image}.json")
        before = masks_of(read_regions(workspace.path(f"results/regions/default/{image}.json")))
        assert masks_of(read_regions(path)) == before
    assert masks_of(read_regions(workspace.path("results/masks/people/wide.json"))) == []
    assert not workspace.snakemake("-n").jobs()

    mask = np.zeros((images[0]["height"], images[0]["width"]), bool)
    mask[5:9, 3:30] = True
    records[0]["segmentation"] = rle.encode(mask)
    file.write_text(json.dumps(corrected))
    plan = workspace.snakemake("-n")
    assert plan.jobs()["masks"] == plan.jobs()["regions"] == plan.jobs()["pooled"] == 1
    assert "results/masks/people/one.json" in plan.files()
    workspace.snakemake("results/masks/people/one.json")
    assert rle.encode(mask) in masks_of(read_regions(workspace.path("results/masks/people/one.json")))


def test_a_file_that_is_not_there_or_about_other_images_is_told_before_any_job(workspace):
    workspace.config = {
        **workspace.config,
        "segmenters": {"people": {"type": "from_coco", "file": "corrected.json"}},
        "regions": {"default": {"segmenter": "people"}},
    }
    run = workspace.snakemake("-n", ok=False)
    assert "segmenters.people.file: corrected.json: cannot be read" in run.output
    workspace.path("corrected.json").write_text('{"images": [{"id": 1, "file_name": "x.png"}], "annotations": []}')
    run = workspace.snakemake("-n", ok=False)
    assert "segmenters.people.file: corrected.json has none of the images (broken, one" in run.output
