"""The ALPS presets run whole, here with a small random SAM in place of vit_h."""

import json

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.scenes import save_photos
from helpers.small_sam import LOW_THRESHOLDS, save_small_sam
from helpers.workflow import ROOT, Workspace

IMAGES = ["train/a", "train/b", "val/c", "test/d"]
VARIANT = "sam_vit_h/alps"


def preset(*names: str) -> dict:
    """Presets laid over each other, with small weights and few clusters."""
    config: dict = {}
    for name in names:
        for group, values in yaml.safe_load((ROOT / f"config/presets/{name}.yaml").read_text()).items():
            config.setdefault(group, {}).update(values)
    small = {"model": "auto", "checkpoint": "small.pth"}
    config["images"]["dir"] = "photos"
    config["clusters"]["k"] = 3
    config["segmenters"] = {"sam_vit_h": {**small, **LOW_THRESHOLDS}}
    config["extractors"]["sam_vit_h"].update(small)
    return config


@pytest.mark.parametrize(
    ("names", "fitted"), [(["alps"], ["train"]), (["alps", "alps_as_published"], ["train", "val"])]
)
def test_masks_are_filtered_fitted_splits_counted_and_every_split_labelled(tmp_path, names, fitted):
    workspace = Workspace(tmp_path, preset(*names))
    save_photos(workspace.path("photos"), [f"{image}.png" for image in IMAGES], height=120, width=120)
    save_small_sam(workspace.path("small.pth"))
    workspace.snakemake()
    counted = 0
    for image in IMAGES:
        regions = json.loads(workspace.path(f"results/regions/alps/{image}.json").read_text())["annotations"]
        masks = json.loads(workspace.path(f"results/masks/sam_vit_h/{image}.json").read_text())["annotations"]
        assert [a["segmentation"] for a in regions] == [
            a["segmentation"] for a in masks if a["area"] <= 0.3 * 120 * 120
        ]
        counted += len(regions) * (image.split("/")[0] in fitted)
        labels = np.asarray(Image.open(workspace.path(f"results/labels/{VARIANT}/{image}.png")))
        covered = np.any([mask_of(a) for a in regions], axis=0) if regions else np.zeros(labels.shape, bool)
        assert ((labels > 0) == covered).all()
        assert labels.max() <= 3
    with h5py.File(workspace.path(f"results/clusters/{VARIANT}/centroids.h5")) as file:
        assert file.attrs["regions"] == counted > 0
        assert file["centroids"].shape == (3, 64)


def mask_of(annotation: dict) -> np.ndarray:
    from pycocotools import mask

    return mask.decode(annotation["segmentation"]).astype(bool)
