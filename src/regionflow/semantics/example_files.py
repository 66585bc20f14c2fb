"""Labelled examples: points or region ids with class names in a TSV, or label maps of some images.

A TSV has the columns image, x, y, class (pixels from the top left corner) or region_id, class; further columns are left
alone. Points outlive a change of the segmenter, region ids do not. A point means the smallest region that holds it.
A folder of label maps (PNG, `<image>.png`; value v is the v-th class, 0 is none) labels each region of those images
that lies in one class by a share of at least `purity` of its pixels.

Mistakes are told all at once, with the line of each.
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.errors import UserError
from regionflow.formats import rle
from regionflow.formats.regions import RegionFile, masks_of
from regionflow.formats.rle import to_label_map

POINT, REGION = ("image", "x", "y", "class"), ("region_id", "class")
SEPARATOR = "_region_"


class BadExamples(UserError):
    """Examples that cannot be used; the text names the file and every offending line."""


@dataclass(frozen=True)
class Example:
    """One line: a class at a point (x, y) of an image, or of the region of that number."""

    line: int
    image: str
    name: str
    point: tuple[float, float] | None = None
    region: int | None = None


@dataclass(frozen=True)
class LabelledRegion:
    """A region, by its number in its image's region file, and its class."""

    image: str
    region: int
    name: str


def read_tsv(path: Path, classes: Sequence[str] | None = None, images: Collection[str] | None = None) -> list[Example]:
    """The examples of a TSV.

    Raises BadExamples for lines of unknown images, of class names that are not in `classes`, without a class or with
    coordinates that are no numbers, and for points or region ids that stand more than once.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, delimiter="\t", restval="")
            columns = set(rows.fieldnames or ())
            lines = [(rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadExamples(f"{path}: the examples cannot be read ({error})") from error
    if not (set(POINT) <= columns or set(REGION) <= columns):
        raise BadExamples(f"{path}: the first line names the columns {', '.join(POINT)}, or {', '.join(REGION)}")
    examples, problems = [], []
    for line, row in lines:
        try:
            examples.append(_example(line, row, set(POINT) <= columns))
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    problems += [*_unknown(examples, classes, images), *_repeated(examples)]
    if not lines:
        problems.append("there is no example in it")
    _tell(path, problems)
    return examples


def _example(line: int, row: Mapping[str, str], by_point: bool) -> Example:
    name = row["class"].strip()
    if not name:
        raise ValueError("no class name")
    if by_point:
        try:
            point = float(row["x"]), float(row["y"])
        except ValueError:
            raise ValueError(f"x {row['x']!r} and y {row['y']!r} are not both numbers") from None
        if not np.isfinite(point).all():
            raise ValueError(f"x {row['x']!r} and y {row['y']!r} are not both finite")
        return Example(line, row["image"], name, point=point)
    image, separator, number = row["region_id"].rpartition(SEPARATOR)
    if not separator or not number.isdecimal():
        raise ValueError(f"{row['region_id']!r} is not a region id like IMAGE{SEPARATOR}3")
    return Example(line, image, name, region=int(number))


def _unknown(
    examples: Sequence[Example], classes: Sequence[str] | None, images: Collection[str] | None
) -> Iterator[str]:
    for example in examples:
        if classes is not None and example.name not in classes:
            yield f"line {example.line}: class {example.name!r} is not one of {', '.join(classes)}"
        if images is not None and example.image not in images:
            yield f"line {example.line}: there is no image {example.image!r}"


def _repeated(examples: Sequence[Example]) -> Iterator[str]:
    first: dict[tuple, int] = {}
    for example in examples:
        key = (example.image, example.point, example.region)
        if key in first:
            yield f"line {example.line}: the same place as line {first[key]}"
        first.setdefault(key, example.line)
    spelled: dict[str, str] = {}
    for example in examples:
        usual = spelled.setdefault(example.name.casefold(), example.name)
        if usual != example.name:
            yield f"line {example.line}: class {example.name!r} was spelled {usual!r} before"


def class_names(examples: Sequence[Example], classes: Sequence[str] | None = None) -> list[str]:
    """The classes in their order: those given, or else those of the examples in alphabetical order."""
    return list(classes) if classes is not None else sorted({example.name for example in examples})


def resolve(
    path: Path, examples: Sequence[Example], regions: Callable[[str], RegionFile]
) -> tuple[list[LabelledRegion], list[str]]:
    """The region that each example means, each region once, and notes on what is left out.

    `regions` gives the region file of an image. Left out are examples of images that could not be read, points in no
    region, and regions that hold points of two classes: other regions make that of good points. Raises BadExamples,
    naming `path`, for points outside of their image and region ids that do not exist.
    """
    problems, notes = [], []
    labelled: dict[tuple[str, int], list[Example]] = {}
    for image in dict.fromkeys(example.image for example in examples):
        file = regions(image)
        if file.image.error is not None:
            notes.append(f"{image} could not be read: its examples are left out")
            continue
        owners = to_label_map(masks_of(file), range(1, len(file.annotations) + 1), *file.size).astype(np.int64) - 1
        for example in (e for e in examples if e.image == image):
            try:
                number = _number(example, file, owners)
            except ValueError as error:
                problems.append((example.line, f"line {example.line}: {error}"))
                continue
            if number < 0 and example.point is not None:
                x, y = example.point
                notes.append(f"line {example.line}: ({x:g}, {y:g}) lies in no region of {image}: it is left out")
            else:
                labelled.setdefault((image, number), []).append(example)
    _tell(path, [text for _, text in sorted(problems)])
    for (image, number), same in labelled.items():
        if len({example.name for example in same}) > 1:
            said = ", ".join(f"{example.name!r} (line {example.line})" for example in same)
            notes.append(f"region {number} of {image} holds {said}: it is left out")
    one = {key: same[0].name for key, same in labelled.items() if len({example.name for example in same}) == 1}
    return [LabelledRegion(image, number, name) for (image, number), name in sorted(one.items())], notes


def _number(example: Example, file: RegionFile, owners: NDArray[np.int64]) -> int:
    """The region that an example means, -1 for a point in none. Raises ValueError for a place that is not there."""
    height, width = file.size
    if example.point is None:
        number = example.region or 0
        if number >= len(file.annotations):
            raise ValueError(f"{example.image} has no region {number}, only {len(file.annotations)}")
        return number
    x, y = example.point
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"({x:g}, {y:g}) is outside of {example.image}, which is {width} x {height} pixels")
    return int(owners[int(y), int(x)])


def from_label_maps(
    folder: Path, classes: Sequence[str], images: Collection[str], regions: Callable[[str], RegionFile], purity: float
) -> list[LabelledRegion]:
    """The regions of all images that have a label map in the folder, where one class has a share of at least `purity`.

    Raises BadExamples, naming every file, for maps of another size than the image or with values beyond the classes,
    and if no image has one.
    """
    labelled, problems, seen = [], [], 0
    for image in sorted(images):
        path = folder / f"{image}.png"
        if not path.is_file():
            continue
        seen += 1
        file = regions(image)
        if file.image.error is not None:
            continue
        try:
            labels = _label_map(path, file.size, len(classes))
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        for number, mask in enumerate(masks_of(file)):
            value = _pure(labels[rle.decode(mask)], purity)
            if value:
                labelled.append(LabelledRegion(image, number, classes[value - 1]))
    if not seen:
        problems.append(f"no image of the set has a label map here, such as {min(images, default='IMAGE')}.png")
    _tell(folder, problems)
    return labelled


def _label_map(path: Path, size: tuple[int, int], classes: int) -> NDArray[np.int64]:
    try:
        with Image.open(path) as image:
            labels = np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"not a label map ({error})") from error
    if labels.shape != size:
        raise ValueError(f"{labels.shape} pixels for an image of {size}")
    if labels.size and labels.max() > classes:
        raise ValueError(f"value {labels.max()}, but there are {classes} classes")
    return labels


def _pure(inside: NDArray[np.int64], purity: float) -> int:
    """The value of most pixels if they are not none and their share is large enough; else 0."""
    counts = np.bincount(inside, minlength=1)
    value = int(counts.argmax())
    return value if len(inside) and counts[value] >= purity * len(inside) else 0


def _tell(path: Path, problems: Sequence[str]) -> None:
    if problems:
        raise BadExamples("\n".join([f"{path}: {len(problems)} mistake(s) in the examples:", *problems]))


def read_examples(
    path: Path,
    classes: Sequence[str] | None,
    purity: float,
    images: Collection[str],
    regions: Callable[[str], RegionFile],
) -> tuple[list[LabelledRegion], list[str], list[str]]:
    """The labelled regions of a file or folder of examples, the class names in order, and notes on what was left out.

    `images` are all ids of the set, `regions` gives the region file of one. Raises BadExamples, naming every mistake.
    """
    if path.is_dir():
        names = list(classes or ())
        return from_label_maps(path, names, images, regions, purity), names, []
    examples = read_tsv(path, classes, images)
    labelled, notes = resolve(path, examples, regions)
    return labelled, class_names(examples, classes), notes
