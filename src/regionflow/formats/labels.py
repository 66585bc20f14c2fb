"""Label files: the cluster of every region of an image as JSON, and of every pixel as a PNG.

The PNG has a text chunk `regionflow`: {image_id, height, width, sha256 of the pixels}. All chunks are checked by their
CRC, which most decoders leave out.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from regionflow.base.errors import BadFile, UserError
from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.base.pixel_limit import without_pixel_limit
from regionflow.base.reads import note_bytes
from regionflow.formats.checked import NO_CHECKSUM, check_owner, read_checked_json, write_checked_json

NO_CLUSTER = -1
MAX_LABEL = (1 << 24) - 1
WHAT, MAP = "a label file", "a label map"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = "regionflow"


@dataclass(frozen=True)
class Labels:
    """The label file of one image: cluster (-1: none) and distance by region id, in the order of its pooled file.

    `covered`: share of the image's pixels in masks ("masks") and in any region ("regions"). `regions_sha256`: checksum
    of the region file that is labelled.
    """

    image_id: str
    cluster: dict[str, int]
    distance: dict[str, float | None]
    covered: dict[str, float]
    regions_sha256: str


def labels_of(
    image_id: str,
    region_ids: Sequence[str],
    cluster: NDArray[np.integer],
    distance: NDArray[np.floating],
    covered: Mapping[str, float],
    *,
    regions_sha256: str,
) -> Labels:
    """Labels from arrays [R]; a region without cluster has no distance. Numbers are rounded to six digits."""
    distances = [None if c < 0 else round(d, 6) for c, d in zip(cluster.tolist(), distance.tolist(), strict=True)]
    return Labels(
        image_id,
        dict(zip(region_ids, cluster.tolist(), strict=True)),
        dict(zip(region_ids, distances, strict=True)),
        {name: round(float(share), 6) for name, share in covered.items()},
        regions_sha256,
    )


def write_labels(path: Path, labels: Labels) -> None:
    """Write one image's label file."""
    regions = [
        {"region_id": region, "cluster": cluster, "distance": labels.distance[region]}
        for region, cluster in labels.cluster.items()
    ]
    head = {"image_id": labels.image_id, "covered": labels.covered, "regions_sha256": labels.regions_sha256}
    write_checked_json(path, {**head, "regions": regions})


def read_labels(path: Path, image_id: str | None = None) -> Labels:
    """Read one image's label file.

    Raises BadFile, naming the file, if it is damaged, or of another image than `image_id`.
    """
    table, _ = read_checked_json(path, WHAT)
    try:
        cluster = {row["region_id"]: row["cluster"] for row in table["regions"]}
        distance = {row["region_id"]: row["distance"] for row in table["regions"]}
        labels = Labels(table["image_id"], cluster, distance, table["covered"], table["regions_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, WHAT, error) from error
    check_owner(path, labels.image_id, image_id)
    return labels


def write_label_map(path: Path, labels: NDArray[np.integer], image_id: str) -> None:
    """Write the label map [H, W] of an image as PNG, lossless; one zero pixel for an image that could not be read.

    16-bit grey where that holds every label. PNG knows no 32-bit grey, so larger labels are written as COCO panoptic
    does: red + 256 green + 65,536 blue (panopticapi's rgb2id reads it). Raises UserError for labels of more than 24
    bits or below zero: no label is ever wrapped.
    """
    pixels = labels if labels.size else np.zeros((1, 1), np.uint16)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > MAX_LABEL:
        raise UserError(f"{path}: a label map holds labels from 0 to {MAX_LABEL}, not {low if low < 0 else high}")
    if high > 0xFFFF:
        pixels = np.stack([pixels & 255, (pixels >> 8) & 255, pixels >> 16], axis=-1).astype(np.uint8)
    else:
        pixels = pixels.astype(np.uint16)
    height, width = labels.shape
    about = {"image_id": image_id, "height": height, "width": width, "sha256": _hash(pixels)}
    chunks = PngInfo()
    chunks.add_text(_CHUNK, canonical_json(about))
    with whole(path) as part:
        Image.fromarray(pixels).save(part, format="PNG", pnginfo=chunks)


def read_label_map(path: Path, image_id: str | None = None, size: tuple[int, int] | None = None) -> NDArray[np.int64]:
    """A label map [H, W] written by `write_label_map`.

    Raises BadFile, naming the file, if it is damaged, of another image than `image_id`, or of another size (height,
    width) than the image has.
    """
    try:
        data = path.read_bytes()
        note_bytes(path, data)
        _check_chunks(data)
        with without_pixel_limit(), Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image)
            text = image.text.get(_CHUNK)  # type: ignore[attr-defined]  # of PNG files alone
        if text is None:
            raise ValueError(NO_CHECKSUM)
        about = json.loads(text)
        if about["sha256"] != _hash(pixels):
            raise ValueError("its pixels do not have their checksum")
        owner, own_size = str(about["image_id"]), (int(about["height"]), int(about["width"]))
    except OSError as error:
        if error.errno is None:  # what Pillow says of a fault in the file
            raise BadFile.damaged(path, MAP, error) from error
        raise BadFile.not_read(path, error) from error
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise BadFile.damaged(path, MAP, error) from error
    check_owner(path, owner, image_id)
    if size is not None and own_size != size:
        sizes = [f"{height} x {width}" for height, width in (own_size, size)]
        raise BadFile.to_be_remade(f"{path}: it has {sizes[0]} pixels, its image {sizes[1]}")
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels.astype(np.int64) @ np.array([1, 256, 65536])
    if pixels.ndim != 2:
        raise BadFile.damaged(path, MAP, f"it has {pixels.shape[2]} channels")
    return pixels.astype(np.int64)


def _hash(pixels: NDArray) -> str:
    """sha256 of pixels as they are stored."""
    return hashlib.sha256(f"{pixels.dtype.kind}{pixels.itemsize}{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def _check_chunks(data: bytes) -> None:
    """Raises ValueError unless every chunk of a PNG file is whole and has its CRC, and nothing follows the last."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("it is empty" if not data else "it does not begin as a PNG file")
    at, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("it is cut off")
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 8 + length
        if data[end : end + 4] != zlib.crc32(data[at + 4 : end]).to_bytes(4, "big"):
            raise ValueError(f"a chunk at byte {at} does not have its checksum")
        at = end + 4
    if at != len(data):
        raise ValueError("something follows its end")
