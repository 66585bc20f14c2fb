"""Variants that are there without being written down."""

from typing import Any

from regionflow.features.presets import PRESETS
from regionflow.weights.published import CHECKPOINTS

_SAM = {
    model if model == "mobile_sam" else f"sam_{model}": {"model": model, "checkpoint": f"weights/{published.file_name}"}
    for model, published in CHECKPOINTS.items()
}
# Chosen on validation scenes: benchmarks/sam_tiny.py --validation; see docs/sam_tiny.md.
_SAM_TINY_THRESHOLDS = {
    "points_per_side": 32,
    "skip_covered_iou": 0.6,
    "only_connected": True,
    "pred_iou_thresh": 0.5,
    "stability_score_thresh": 0.6,
    "box_nms_thresh": 0.95,
    "crop_n_layers": 1,
    "crop_nms_thresh": 0.95,
    "crop_overlap_ratio": 0.1,
    "mask_nms_thresh": 0.9,
    "min_mask_region_area": 30,
}

# Every mask that a SAM has, for average recall with many masks: the recipe of segment-anything's authors for AR@1000,
# to be ranked by the mean of both scores (evaluate: {rank: mean_of_scores}).
_PROPOSALS = {"points_per_side": 64, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 0.9}

BUILTIN: dict[str, dict[str, dict[str, Any]]] = {
    "segmenters": {
        "merge_tree": {"type": "merge_tree"},
        "graph": {"type": "graph"},
        **{name: {"type": "sam", **sam} for name, sam in _SAM.items()},
        **{f"{name}_proposals": {"type": "sam", **sam, **_PROPOSALS} for name, sam in _SAM.items()},
        "sam_tiny_proposals": {"type": "sam", "model": "sam_tiny", **_PROPOSALS},
        "sam_tiny": {"type": "sam", "model": "sam_tiny", **_SAM_TINY_THRESHOLDS},
    },
    "superpixels": {"slic": {}},
    "regions": {"default": {}, "sam_slic": {"segmenter": "sam_vit_h"}},
    "extractors": {
        **{name: {**o.model_dump(exclude_defaults=True), "type": o.type} for name, o in PRESETS.items()},
        **{name: {"type": "sam_encoder", **sam} for name, sam in _SAM.items()},
        "sam_tiny": {"type": "sam_encoder", "model": "sam_tiny"},
    },
    "labelers": {
        # From 0.3 up a left out example keeps its right name (24 of 25) and loses a wrong one (14 of 39).
        "sample_photos": {
            "type": "examples",
            "examples": "sample_photos",
            "extractor": "daisy_lab",
            "min_score": 0.3,
        },
        "seem": {"type": "seem", "checkpoint": "weights/seem_focall_v0.pt"},
        "eomt_coco_l": {"type": "transformers", "model": "tue-mps/coco_panoptic_eomt_large_640"},
        "mask2former_coco_l": {"type": "transformers", "model": "facebook/mask2former-swin-large-coco-panoptic"},
        "mask2former_ade_l": {"type": "transformers", "model": "facebook/mask2former-swin-large-ade-semantic"},
        "segformer_cityscapes_b5": {
            "type": "transformers",
            "model": "nvidia/segformer-b5-finetuned-cityscapes-1024-1024",
        },
    },
}
"""By group and name."""
