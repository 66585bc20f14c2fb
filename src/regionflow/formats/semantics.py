"""Class names of one image's regions: a checked JSON file; the label map beside it is one of `formats.labels`.

{"image": {image_id, file_name, height, width[, error]}, "classes": [name, ...][, "things": [bool, ...]],
"regions": [{region_id, class, name, score, top, decided_by}], "shares": {regions, dense, none}, "regions_sha256",
"generator": {...}}. `class` is the value in the label map: 0 for none, c + 1 for classes[c]. `things` tells things from
stuff where that is known. `top` lists up to five [class, score], the likeliest first; scores have the precision of
float16. `decided_by` says which rule gave the class: the region's own scores, a vote of the dense map, or none.
`shares` are shares of the image's pixels. `regions_sha256` is the checksum of the region file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from regionflow.base.errors import BadFile
from regionflow.formats.checked import check_owner, read_checked_json, write_checked_json
from regionflow.formats.regions import Generator, ImageInfo

WHAT = "a file of class names"
NONE = 0
"""Value of pixels and regions without a class."""
TOP = 5
"""Classes that a region's record lists with their scores."""
DecidedBy = Literal["regions", "dense", "none"]


@dataclass(frozen=True)
class RegionClass:
    """The class of one region: `value` 0 for none or c + 1, its score in 0 to 1, and the likeliest classes."""

    region_id: str
    value: int
    score: float
    top: list[tuple[int, float]]
    decided_by: DecidedBy


@dataclass(frozen=True)
class Semantics:
    """The classes of one image's regions, in the order of its region file."""

    image: ImageInfo
    classes: list[str]
    regions: list[RegionClass]
    shares: Mapping[str, float]
    generator: Generator
    regions_sha256: str = ""
    """Checksum of the region file whose regions are named."""
    things: list[bool] | None = None
    """Whether each class is a thing, of which an image may hold several, or stuff; None where that is not known."""

    def name(self, value: int) -> str | None:
        """Name of a class value; None for 0."""
        return None if value == NONE else self.classes[value - 1]


def write_semantics(path: Path, semantics: Semantics) -> None:
    """Write one image's classes.

    Raises ValueError for a class value that `classes` does not have, and for things that are not one per class.
    """
    if semantics.things is not None and len(semantics.things) != len(semantics.classes):
        raise ValueError(f"{path}: {len(semantics.things)} things or stuff of {len(semantics.classes)} classes")
    wrong = sorted({r.value for r in semantics.regions if not 0 <= r.value <= len(semantics.classes)})
    if wrong:
        raise ValueError(f"{path}: class values {wrong} of {len(semantics.classes)} classes")
    content = {
        "image": {key: value for key, value in asdict(semantics.image).items() if value is not None},
        "classes": semantics.classes,
        **({} if semantics.things is None else {"things": semantics.things}),
        "regions": [_record(region, semantics.name(region.value)) for region in semantics.regions],
        "shares": dict(semantics.shares),
        "generator": asdict(semantics.generator),
        "regions_sha256": semantics.regions_sha256,
    }
    write_checked_json(path, content)


def _record(region: RegionClass, name: str | None) -> dict[str, Any]:
    return {
        "region_id": region.region_id,
        "class": region.value,
        "name": name,
        "score": short(region.score),
        "top": [[value, short(score)] for value, score in region.top],
        "decided_by": region.decided_by,
    }


def short(score: float) -> float:
    """A score at the precision of float16, in as few digits as tell it from its neighbours."""
    return float(str(np.float16(score)))


def read_semantics(path: Path, image_id: str | None = None) -> Semantics:
    """Read one image's classes.

    Raises BadFile, naming the file, if it is damaged, not of this layout, or of another image than `image_id`.
    """
    content, _ = read_checked_json(path, WHAT)
    try:
        classes = [str(name) for name in content["classes"]]
        regions = [_region(record, classes) for record in content["regions"]]
        shares = {key: float(share) for key, share in content["shares"].items()}
        things = _things(content.get("things"), len(classes))
        image, made_by = ImageInfo(**content["image"]), Generator(**content["generator"])
        semantics = Semantics(image, classes, regions, shares, made_by, str(content["regions_sha256"]), things)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile.damaged(path, WHAT, error) from error
    check_owner(path, image.image_id, image_id)
    return semantics


def _things(given: Any, classes: int) -> list[bool] | None:
    if given is not None and not (len(given) == classes and all(isinstance(one, bool) for one in given)):
        raise ValueError("things does not say of every class whether it is one")
    return None if given is None else list(given)


def _region(record: Mapping[str, Any], classes: Sequence[str]) -> RegionClass:
    value, top = int(record["class"]), [(int(c), float(s)) for c, s in record["top"]]
    if not all(0 <= v <= len(classes) for v in (value, *(c for c, _ in top))):
        raise ValueError(f"{record['region_id']} has a class that the file does not list")
    if record["name"] != (None if value == NONE else classes[value - 1]):
        raise ValueError(f"{record['region_id']} is called {record['name']!r}, which is not class {value}")
    if record["decided_by"] not in get_args(DecidedBy):
        raise ValueError(f"{record['region_id']} is decided by {record['decided_by']!r}")
    return RegionClass(str(record["region_id"]), value, float(record["score"]), top, record["decided_by"])
