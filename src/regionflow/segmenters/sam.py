"""Segment Anything as a segmenter: segment-anything's own automatic mask generator."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator

from regionflow.devices import pick
from regionflow.job import Job
from regionflow.records import Annotation, annotation
from regionflow.sam.build import build_sam
from regionflow.segmenters.options import SamOptions

SOURCE = "sam"


def generate(image: NDArray[np.uint8], options: SamOptions, job: Job) -> list[Annotation]:
    """Masks of an RGB image [H, W, 3] in the generator's order, predicted IoU falling.

    Boxes are pycocotools' (a one-pixel mask is 1 wide); the original's are one pixel short.
    """
    device = pick(job)
    key = ("sam", options.model, options.checkpoint, job.options["weights_sha256"], device)
    sam = job.models.get(key, lambda: build_sam(options.model, Path(options.checkpoint), device))
    settings = options.model_dump(exclude={"type", "model", "checkpoint"})
    generator = SamAutomaticMaskGenerator(
        sam, output_mode="coco_rle", points_per_batch=job.runtime.get("points_per_batch") or 64, **settings
    )
    with torch.inference_mode():
        found = generator.generate(image)
    names = ("predicted_iou", "stability_score", "point_coords", "crop_box")
    return [annotation(r["segmentation"], SOURCE, **{name: r[name] for name in names}) for r in found]
