"""The output forms that users of segment-anything's amg.py know: a folder of PNG masks with a table, or a JSON list."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from regionflow.base.files import PART, write_json, write_table
from regionflow.formats import rle
from regionflow.formats.nesting import parents

METADATA = (
    "id",
    "area",
    "bbox_x0",
    "bbox_y0",
    "bbox_w",
    "bbox_h",
    "point_input_x",
    "point_input_y",
    "predicted_iou",
    "stability_score",
    "crop_box_x0",
    "crop_box_y0",
    "crop_box_w",
    "crop_box_h",
)
AMG_KEYS = ("segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box")


def export_amg(annotations: Sequence[dict], target: Path, form: Literal["png", "json"]) -> None:
    """Write an image's annotations as amg.py does; what was at `target` is replaced once the new output is whole.

    Args:
        annotations: as `generate` returns or a mask file holds them; superpixels and merged regions lack some keys and
            leave those cells of the table empty.
        target: a folder for "png" (`<i>.png`, 0 and 255, metadata.csv, and parents.csv: the smallest mask that holds
            each, which amg.py does not have), a file for "json" (amg.py's --convert-to-rle list).
        form: which of the two.
    """
    if form == "json":
        write_json(target, [{key: a[key] for key in AMG_KEYS if key in a} for a in annotations])
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + PART)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for i, annotation in enumerate(annotations):
        Image.fromarray(rle.decode(annotation["segmentation"]).astype("uint8") * 255).save(partial / f"{i}.png")
    write_table(partial / "metadata.csv", METADATA, (_row(i, annotation) for i, annotation in enumerate(annotations)))
    nested_in = parents([a["segmentation"] for a in annotations]).tolist()
    write_table(partial / "parents.csv", ("id", "parent"), enumerate(nested_in))
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)


def _row(i: int, annotation: dict) -> list:
    point = (annotation.get("point_coords") or [["", ""]])[0]
    scores = [annotation.get("predicted_iou", ""), annotation.get("stability_score", "")]
    crop = annotation.get("crop_box") or [""] * 4
    return [i, annotation["area"], *annotation["bbox"], *point, *scores, *crop]
