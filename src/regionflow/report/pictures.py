"""What the page embeds of single images: the photo, id maps that a browser can read, and crops of regions."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.labels import Labels
from regionflow.formats.regions import Annotation, RegionFile
from regionflow.formats.rle import to_label_map

Picture = NDArray[np.uint8]
CROP_SIDE = 96
# Share of a region's box that is shown around it.
MARGIN = 0.15


def image_data(
    image: Picture, regions: RegionFile, labels: Labels, superpixels: NDArray[np.integer] | None, side: int
) -> dict[str, Any]:
    """One image for the page: photo and maps as data URLs, at most `side` pixels long, and a column per field of its
    regions.

    `ids` is the map of the smallest region at each pixel, its place among the regions + 1.
    """
    masks = [a["segmentation"] for a in regions.annotations]
    size = _fit(image.shape[:2], side)
    ids = to_label_map(masks, range(1, len(masks) + 1), *regions.size)
    data = {
        "photo": _jpeg(cv2.resize(image, size, interpolation=cv2.INTER_AREA), 78),
        "ids": _id_map(ids, size),
        "regions": columns(regions.annotations, labels),
    }
    if superpixels is not None:
        data["superpixels"] = _id_map(superpixels, size)
    return data


def columns(regions: Sequence[Annotation], labels: Labels) -> dict[str, list[Any]]:
    """The records that the page shows of regions, one list per field."""
    names = [a["region_id"] for a in regions]
    return {
        "id": [a["id"] for a in regions],
        "source": [a["source"] for a in regions],
        "area": [a["area"] for a in regions],
        "iou": [_short(a.get("predicted_iou")) for a in regions],
        "stability": [_short(a.get("stability_score")) for a in regions],
        "cluster": [labels.cluster.get(name, -1) for name in names],
        "distance": [_short(labels.distance.get(name)) for name in names],
    }


def crop(image: Picture, region: Annotation) -> str:
    """A region cut out with a little around it, which is paled, as a data URL."""
    height, width = image.shape[:2]
    x, y, w, h = region["bbox"]
    grow = round(MARGIN * max(w, h)) + 2
    top, left, bottom, right = max(0, y - grow), max(0, x - grow), min(height, y + h + grow), min(width, x + w + grow)
    part = image[top:bottom, left:right].astype(np.float32)
    outside = ~rle.decode(region["segmentation"])[top:bottom, left:right]
    part[outside] = 0.3 * part[outside] + 0.7 * 255
    size = _fit(part.shape[:2], CROP_SIDE, enlarge=True)
    return _jpeg(cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_AREA), 80)


def _fit(shape: Sequence[int], side: int, enlarge: bool = False) -> tuple[int, int]:
    """(width, height) with the longer side at `side`, or as it is if it is shorter."""
    height, width = shape
    scale = side / max(height, width)
    scale = scale if enlarge else min(1.0, scale)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _id_map(ids: NDArray[np.integer], size: tuple[int, int]) -> str:
    """An RGB PNG of the bytes of an id, low to high: what a canvas gives back without loss."""
    small = np.asarray(cv2.resize(ids.astype(np.int32), size, interpolation=cv2.INTER_NEAREST), np.int32)
    bgr = np.stack([small >> 16, (small >> 8) & 255, small & 255], axis=-1).astype(np.uint8)
    return _url("png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1])


def _jpeg(image: NDArray[Any], quality: int) -> str:
    bgr = np.ascontiguousarray(image[..., ::-1])
    return _url("jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _url(kind: str, data: NDArray[np.uint8]) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _short(value: Any) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def crops_of(
    image: Picture, regions: RegionFile, wanted: Mapping[str, tuple[int, int]]
) -> dict[tuple[int, int], dict[str, Any]]:
    """Crops of the regions named, under the places given for them."""
    return {
        wanted[a["region_id"]]: {"src": crop(image, a), "region": a["id"], "area": a["area"]}
        for a in regions.annotations
        if a["region_id"] in wanted
    }
