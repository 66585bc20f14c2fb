"""SAM and learned features end to end: a small random SAM and a small random ViT, through the real DAG."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from helpers.scenes import save_photos
from helpers.small_sam import LOW_THRESHOLDS, save_small_sam
from helpers.workflow import Workspace
from regionflow.weights.published import EMBEDDED

IMAGES = ["a", "b"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("sam"))
    save_photos(workspace.path("photos"), [f"{name}.png" for name in IMAGES])
    save_small_sam(workspace.path("small.pth"))
    workspace.config = {
        "images": {"dir": "photos"},
        "segmenters": {"small": {"type": "sam", "model": "auto", "checkpoint": "small.pth", **LOW_THRESHOLDS}},
        "regions": {"default": {"segmenter": "small"}},
        "extractors": {
            "vit": {"type": "timm", "model": "test_vit", "random_seed": 0},
            "sam_map": {"type": "sam_encoder", "model": "auto", "checkpoint": "small.pth"},
        },
        "targets": {"extractors": ["vit", "sam_map"]},
        "clusters": {"k": 3},
    }
    workspace.snakemake("--resources", "gpu=1")
    return workspace


def masks_file(workspace: Workspace, image: str) -> dict:
    return json.loads(workspace.path(f"results/masks/small/{image}.json").read_text())


@pytest.mark.parametrize("image", IMAGES)
def test_masks_are_those_of_segment_anythings_generator(run, image):
    from segment_anything import SamAutomaticMaskGenerator

    from regionflow.sam.build import build_sam

    generator = SamAutomaticMaskGenerator(
        build_sam("auto", run.path("small.pth")), output_mode="coco_rle", **LOW_THRESHOLDS
    )
    pixels = np.asarray(Image.open(run.path(f"photos/{image}.png")))
    expected = generator.generate(pixels)
    found = masks_file(run, image)["annotations"]
    assert found
    assert [a["segmentation"] for a in found] == [r["segmentation"] for r in expected]
    assert [a["point_coords"] for a in found] == [r["point_coords"] for r in expected]
    for a, r in zip(found, expected, strict=True):
        assert a["predicted_iou"] == pytest.approx(r["predicted_iou"], abs=1e-4)
        # Rounding differs from CPU to CPU, and moves pixels of flat random logits over a threshold: which pixels may
        # differ is compared in tests/reference/test_amg.py.
        assert a["stability_score"] == pytest.approx(r["stability_score"], abs=0.03)


def test_files_carry_the_weights_that_made_them(run):
    digest = hashlib.sha256(run.path("small.pth").read_bytes()).hexdigest()
    assert masks_file(run, "a")["generator"]["weights_sha256"] == digest


def test_both_extractors_are_pooled_over_the_same_regions(run):
    for extractor in ("vit", "sam_map"):
        for image in IMAGES:
            assert run.path(f"results/labels/{extractor}/default/{image}.png").exists()
    assert "Nothing to be done" in run.snakemake("-n").output


def test_other_weights_under_the_same_name_remake_the_masks(run):
    original = run.path("small.pth").read_bytes()
    try:
        save_small_sam(run.path("small.pth"), seed=1)
        jobs = run.snakemake("-n").jobs()
    finally:
        run.path("small.pth").write_bytes(original)
    assert jobs["masks"] == 2
    assert jobs["features"] == 2  # sam_map alone
    assert "superpixels" not in jobs


def test_touched_weights_remake_nothing(run):
    Path(run.path("small.pth")).touch()
    assert "Nothing to be done" in run.snakemake("-n").output


def test_weights_and_models_that_are_not_there_are_named_before_any_job(run):
    wrong = {
        **run.config,
        "segmenters": {"mine": {"type": "sam", "checkpoint": "mine.pth"}},
        "regions": {"default": {"segmenter": "mine"}, "hq": {"segmenter": "sam_hq_vit_b"}},
        "extractors": {"vit": {"type": "timm", "model": "vit_base_patch14_dino2"}},
        "targets": {"extractors": ["vit"], "regions": ["default", "hq"]},
    }
    failed = Workspace(run.folder, wrong).snakemake("-n", ok=False)
    assert failed.code != 0
    assert "segmenters.mine.checkpoint: mine.pth is not there; put the file there" in failed.output
    assert "get it first with `snakemake --cores 1 weights/sam_hq_vit_b.pth`" in failed.output
    assert "extractors.vit.model: timm" in failed.output
    assert "vit_base_patch14_dinov2" in failed.output


def test_published_weights_are_downloaded_once_and_never_removed(run):
    named = Workspace(run.folder, {**run.config, "regions": {"default": {"segmenter": "sam_vit_b"}}})
    jobs = named.snakemake("-n").jobs()
    assert (jobs["weights"], jobs["masks"]) == (1, 2)
    run.path("weights").mkdir()
    run.path("weights/sam_vit_b_01ec64.pth").write_bytes(run.path("small.pth").read_bytes())
    assert "weights" not in named.snakemake("-n", "--forceall").jobs()


def test_the_embedded_sam_needs_no_file(tmp_path):
    workspace = Workspace(tmp_path)
    save_photos(workspace.path("photos"), ["a.png"])
    workspace.config = {
        "images": {"dir": "photos"},
        "segmenters": {"sam_tiny": {"points_per_side": 8}},
        "regions": {"default": {"segmenter": "sam_tiny"}},
        "targets": {"extractors": ["sam_tiny"]},
        "clusters": {"k": 3},
    }
    workspace.snakemake()
    digest = hashlib.sha256(EMBEDDED.read_bytes()).hexdigest()
    file = json.loads(workspace.path("results/masks/sam_tiny/a.json").read_text())
    assert file["annotations"]
    assert file["generator"]["weights_sha256"] == digest
    with h5py.File(workspace.path("results/features/sam_tiny/a.h5")) as features:
        assert features["features"].shape == (64, 64, 64)
    assert "Nothing to be done" in workspace.snakemake("-n").output
