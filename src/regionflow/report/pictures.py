"""What the page embeds of single images: the photo, id maps that a browser can read, and crops of regions."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.labels import Labels
from regionflow.formats.nesting import parents
from regionflow.formats.regions import Annotation, RegionFile, masks_of
from regionflow.formats.semantics import Semantics, short
from regionflow.report.atoms import atoms_of, visible_points

Picture = NDArray[np.uint8]
Place = tuple[str, int, int]
"""Of a crop: "clusters" or "classes", which of them, and its place there."""
CROP_SIDE = 96
# Share of a region's box that is shown around it.
MARGIN = 0.15


def image_data(
    image: Picture,
    regions: RegionFile,
    columns: Mapping[str, Any],
    superpixels: NDArray[np.integer] | None,
    side: int,
) -> dict[str, Any]:
    """One image for the page: photo, map of atoms (`regionflow.report.atoms`) and the borders of superpixels as data
    URLs, at most `side` pixels long, and packed columns of its regions.
    """
    masks = masks_of(regions)
    size = fit(image.shape[:2], side)
    atoms = atoms_of(masks, regions.size, (size[1], size[0]))
    data = {
        "photo": jpeg(cv2.resize(image, size, interpolation=cv2.INTER_AREA), 78),
        "atoms": _id_map(atoms.ids),
        "regions": packed({**columns, "stacks": atoms.stacks}),
    }
    if superpixels is not None:
        small = cv2.resize(superpixels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
        data["superpixels"] = borders(np.asarray(small))
    return data


def packed(data: Mapping[str, Any]) -> str:
    """JSON, deflated, in base64: the browser unpacks it when it is looked at."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def columns_of(regions: RegionFile, labels: Labels, names: Mapping[str, Semantics]) -> dict[str, Any]:
    """The records that the page shows of the regions of an image, one list per field.

    `names`: the class names of each labeler. `point` is where the region is the smallest one, in pixels of the image.
    """
    records, masks = regions.annotations, masks_of(regions)
    ids = [a["region_id"] for a in records]
    return {
        "id": [a["id"] for a in records],
        "source": [a["source"] for a in records],
        "area": [a["area"] for a in records],
        "iou": [_short(a.get("predicted_iou")) for a in records],
        "stability": [_short(a.get("stability_score")) for a in records],
        "cluster": [labels.cluster.get(name, -1) for name in ids],
        "distance": [_short(labels.distance.get(name)) for name in ids],
        "parent": parents(masks).tolist(),
        "point": visible_points(masks, regions.size),
        "classes": {
            labeler: {
                "value": [r.value for r in known.regions],
                "score": [short(r.score) for r in known.regions],
                "second": [[[c, short(s)] for c, s in r.top[:3] if c != r.value][:2] for r in known.regions],
            }
            for labeler, known in names.items()
        },
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
    size = fit(part.shape[:2], CROP_SIDE, enlarge=True)
    return jpeg(cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_AREA), 80)


def fit(shape: Sequence[int], side: int, enlarge: bool = False) -> tuple[int, int]:
    """(width, height) with the longer side at `side`, or as it is if it is shorter."""
    height, width = shape
    scale = side / max(height, width)
    scale = scale if enlarge else min(1.0, scale)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _id_map(ids: NDArray[np.integer]) -> str:
    """An RGB PNG of the bytes of an id, low to high: what a canvas gives back without loss."""
    bgr = np.stack([ids >> 16, (ids >> 8) & 255, ids & 255], axis=-1).astype(np.uint8)
    return _url("png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1])


def borders(labels: NDArray[np.integer]) -> str:
    """A PNG of one bit: white where the right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, np.uint8)
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    return _url(
        "png", cv2.imencode(".png", edge * 255, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 6])[1]
    )


def jpeg(image: NDArray[Any], quality: int) -> str:
    """An image [H, W, 3] as the data URL of a JPEG."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    return _url("jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _url(kind: str, data: NDArray[np.uint8]) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _short(value: Any) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def crops_of(image: Picture, regions: RegionFile, wanted: Mapping[int, Sequence[Place]]) -> dict[Place, dict[str, Any]]:
    """Crops of the regions with the numbers given, under each of the places given for them."""
    made: dict[Place, dict[str, Any]] = {}
    for a in regions.annotations:
        if a["id"] in wanted:
            picture = {"src": crop(image, a), "region": a["id"], "area": a["area"]}
            made |= {place: picture for place in wanted[a["id"]]}
    return made
