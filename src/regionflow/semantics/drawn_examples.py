"""What other tools know: labelled points and masks from Label Studio's JSON, CVAT's XML and COCO's JSON.

From Label Studio (export as JSON): key points, brushes and polygons. From CVAT (CVAT for images 1.1): points, masks and
polygons. From COCO instances, which CVAT and many others write: polygons and RLEs. Boxes hold more than their object,
and are left out with a note, as is whatever else a file holds.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import numpy as np

from regionflow.formats import rle
from regionflow.formats.coco import read_mask
from regionflow.formats.label_studio import from_brush

SUFFIXES = (".json", ".xml")
# Label Studio puts eight hexadecimal digits before the name of a file that was uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
Size = tuple[int, int]


@dataclass(frozen=True)
class Drawn:
    """A class at a point (x, y) or over a mask of an image.

    place: where it stands, for messages; image: as the tool names it; size: of the image there (height, width)
    """

    place: str
    image: str
    size: Size
    name: str
    point: tuple[float, float] | None = None
    mask: rle.Rle | None = None


@dataclass
class _Found:
    """What a file holds, in its order; and what is wrong with the rest."""

    drawn: list[Drawn] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def points(self, place: str, image: str, size: Size, names: Sequence[str], points: Sequence[Any]) -> None:
        for x, y in points:
            where = float(x), float(y)
            self.drawn.append(Drawn(place, image, size, _one(names), point=where))

    def mask(self, place: str, image: str, size: Size, names: Sequence[str], mask: rle.Rle) -> None:
        self.drawn.append(Drawn(place, image, size, _one(names), mask=mask))

    def reading(self, place: str, read: Callable[..., None], *given: Any) -> None:
        """Read one thing of a file; what fails is noted under its place."""
        try:
            read(self, place, *given)
        except KeyError as error:
            self.problems.append(f"{place}: {error} is missing")
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            self.problems.append(f"{place}: {error}")


def read_drawn(path: Path) -> tuple[list[Drawn], list[str]]:
    """The points and masks of a file in the order they were drawn, and notes on what is left out.

    Raises ValueError with a line for everything that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _xml(text) if path.suffix.lower() == ".xml" else json.loads(text)
    except (OSError, ValueError, ElementTree.ParseError, RecursionError) as error:
        raise ValueError(f"it cannot be read ({error})") from error
    found = _Found()
    if isinstance(content, ElementTree.Element):
        for number, image in enumerate(content.iter("image")):
            found.reading(f"image {image.get('name', number)}", _cvat_image, image)
    elif isinstance(content, list):
        for number, task in enumerate(content, start=1):
            found.reading(f"task {task.get('id', number) if isinstance(task, dict) else number}", _task, task)
    elif isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        found.reading("the file", _coco, content)
    else:
        raise ValueError("it is neither Label Studio's JSON, nor COCO's, nor CVAT's XML")
    if not found.drawn and not found.problems:
        found.problems.append("there is no example in it")
    if found.problems:
        raise ValueError("\n".join(found.problems))
    return found.drawn, [f"{count} {kind} left out" for kind, count in sorted(found.left_out.items())]


def image_of(given: str, images: Collection[str]) -> str | None:
    """The id of the image that a tool calls `given`, a path or an address: with which most of the path's end agrees.

    None if there is no such image.
    """
    address = urlsplit(given)
    path = PurePosixPath((parse_qs(address.query).get("d") or [unquote(address.path)])[0])
    if not path.name:
        return None
    for parts in (path.parts, (*path.parts[:-1], _UPLOADED.sub("", path.name))):
        for start in range(len(parts)):
            end = PurePosixPath(*parts[start:])
            for name in (str(end.with_suffix("")), str(end)):
                if name in images:
                    return name
    return None


def _one(names: Sequence[str]) -> str:
    """The one class of a shape."""
    if isinstance(names, str) or len(names) != 1 or not str(names[0]).strip():
        raise ValueError(f"one class is needed, not {', '.join(map(repr, names)) or 'none'}")
    return str(names[0]).strip()


def _size(height: Any, width: Any) -> Size:
    size = int(height), int(width)
    if min(size) < 1:
        raise ValueError(f"an image of {size[1]} x {size[0]} pixels")
    return size


def _polygon(corners: Sequence[float], size: Size) -> rle.Rle:
    """The mask of a polygon x, y, x, y ..."""
    return read_mask({"segmentation": [corners]}, *size)


# Label Studio


def _task(found: _Found, place: str, task: Mapping[str, Any]) -> None:
    pictures = [value for value in task["data"].values() if isinstance(value, str) and PurePosixPath(value).suffix]
    image = task["data"].get("image", pictures[0] if len(pictures) == 1 else None)
    if not isinstance(image, str):
        raise ValueError("its data has no key image with the picture's address")
    for annotation in task.get("annotations", []):
        if annotation.get("was_cancelled"):
            continue
        for result in annotation["result"]:
            found.reading(f"{place}, {result.get('id', 'a shape')}", _result, image, result)


def _result(found: _Found, place: str, image: str, result: Mapping[str, Any]) -> None:
    kind, value = result["type"], result["value"]
    if kind not in ("keypointlabels", "brushlabels", "polygonlabels"):
        found.left_out[kind] += 1
        return
    size, names = _size(result["original_height"], result["original_width"]), value[kind]
    # Shares of the image in percent.
    scale = np.array([size[1], size[0]]) / 100
    if kind == "keypointlabels":
        x, y = np.array([value["x"], value["y"]], float) * scale
        # The right and the lower edge belong to the last pixel.
        point = x - 1e-6 * (x == size[1]), y - 1e-6 * (y == size[0])
        found.points(place, image, size, names, [point])
    elif kind == "brushlabels":
        found.mask(place, image, size, names, from_brush(value["rle"], *size))
    else:
        corners = np.array(value["points"], float) * scale
        found.mask(place, image, size, names, _polygon(corners.ravel().tolist(), size))


# CVAT


def _xml(text: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document type, which CVAT does not write")
    return ElementTree.fromstring(text)


def _cvat_image(found: _Found, place: str, image: ElementTree.Element) -> None:
    name, size = image.attrib["name"], _size(image.attrib["height"], image.attrib["width"])
    for number, shape in enumerate(image, start=1):
        found.reading(f"{place}, shape {number}", _cvat_shape, name, size, shape)


def _cvat_shape(found: _Found, place: str, name: str, size: Size, shape: ElementTree.Element) -> None:
    if shape.tag not in ("points", "polygon", "mask"):
        found.left_out[shape.tag] += 1
        return
    label = [shape.attrib["label"]]
    if shape.tag == "mask":
        found.mask(place, name, size, label, _cvat_mask(shape.attrib, size))
        return
    points = [[float(number) for number in point.split(",")] for point in shape.attrib["points"].split(";")]
    if shape.tag == "points":
        found.points(place, name, size, label, points)
    else:
        found.mask(place, name, size, label, _polygon([number for point in points for number in point], size))


def _cvat_mask(given: Mapping[str, str], size: Size) -> rle.Rle:
    """Lengths of runs along the rows of a box, the first outside of the mask."""
    left, top, width, height = (int(float(given[key])) for key in ("left", "top", "width", "height"))
    runs = np.array([int(run) for run in given["rle"].split(",")])
    if (runs < 0).any() or runs.sum() != width * height or min(left, top) < 0:
        raise ValueError(f"runs of {runs.sum()} pixels in a box of {width} x {height}")
    if top + height > size[0] or left + width > size[1]:
        raise ValueError("its box goes beyond the image")
    mask = np.zeros(size, bool)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = inside.reshape(height, width)
    return rle.encode(mask)


# COCO


def _coco(found: _Found, place: str, content: Mapping[str, Any]) -> None:
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    for number, record in enumerate(content["annotations"], start=1):
        found.reading(f"annotation {record.get('id', number)}", _coco_region, images, names, record)


def _coco_region(
    found: _Found, place: str, images: Mapping[Any, Any], names: Mapping[Any, str], record: Mapping[str, Any]
) -> None:
    if not record.get("segmentation"):
        found.left_out["annotations without a segmentation"] += 1
        return
    image = images[record["image_id"]]
    size = _size(image["height"], image["width"])
    mask = read_mask(record, *size)
    if tuple(mask["size"]) != size:
        raise ValueError(
            f"its mask is of {mask['size'][1]} x {mask['size'][0]} pixels, its image of {size[1]} x {size[0]}"
        )
    found.mask(place, image["file_name"], size, [names[record["category_id"]]], mask)
