"""Labelled examples: points or region ids with class names in a TSV.

A TSV has the columns image, x, y, class (pixels from the top left corner) or region_id, class; further columns are left
alone. Points outlive a change of the segmenter, region ids do not. A point means the smallest region that holds it.

Mistakes are told all at once, with the line of each.
"""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.formats.regions import RegionFile, masks_of
from regionflow.formats.rle import to_label_map

POINT, REGION = ("image", "x", "y", "class"), ("region_id", "class")
SEPARATOR = "_region_"


class BadExamples(UserError):
    """Examples that cannot be used; the text names the file and every offending line."""


@dataclass(frozen=True)
class Example:
    """One line: a class at a point (x, y) of an image, or of the region of that number.

    said: what messages call it, "line 3" if nothing else is said
    """

    line: int
    image: str
    name: str
    point: tuple[float, float] | None = None
    region: int | None = None
    said: str = ""

    @property
    def place(self) -> str:
        """Where it stands in its file."""
        return self.said or f"line {self.line}"


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
    problems += [*unknown(examples, classes, images), *_repeated(examples)]
    if not lines:
        problems.append("there is no example in it")
    tell(path, problems)
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


def unknown(
    examples: Sequence[Example], classes: Sequence[str] | None, images: Collection[str] | None
) -> Iterator[str]:
    """Examples of classes and images that there are none of."""
    for example in examples:
        if classes is not None and example.name not in classes:
            yield f"{example.place}: class {example.name!r} is not one of {', '.join(classes)}"
        if images is not None and example.image not in images:
            yield f"{example.place}: there is no image {example.image!r}"


def _repeated(examples: Sequence[Example]) -> Iterator[str]:
    first: dict[tuple, int] = {}
    for example in examples:
        key = (example.image, example.point, example.region)
        if key in first:
            yield f"line {example.line}: the same place as line {first[key]}"
        first.setdefault(key, example.line)
    yield from spelled_otherwise(examples)


def spelled_otherwise(examples: Sequence[Example]) -> Iterator[str]:
    """Examples whose class differs from an earlier one's in its case only."""
    spelled: dict[str, str] = {}
    for example in examples:
        usual = spelled.setdefault(example.name.casefold(), example.name)
        if usual != example.name:
            yield f"{example.place}: class {example.name!r} was spelled {usual!r} before"


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
                problems.append((example.line, f"{example.place}: {error}"))
                continue
            if number < 0 and example.point is not None:
                x, y = example.point
                notes.append(f"{example.place}: ({x:g}, {y:g}) lies in no region of {image}: it is left out")
            else:
                labelled.setdefault((image, number), []).append(example)
    tell(path, [text for _, text in sorted(problems)])
    for (image, number), same in labelled.items():
        if len({example.name for example in same}) > 1:
            said = ", ".join(f"{example.name!r} ({example.place})" for example in same)
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


def tell(path: Path, problems: Sequence[str]) -> None:
    """Raise BadExamples with these mistakes in a file or folder, if there are any."""
    if problems:
        raise BadExamples("\n".join([f"{path}: {len(problems)} mistake(s) in the examples:", *problems]))
