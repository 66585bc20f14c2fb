"""Labelled examples as masks: label maps of some images, or what was drawn with another tool.

A folder of label maps (PNG, `<image>.png`; value v is the v-th class, 0 is none), or the masks that Label Studio, CVAT
or a COCO file has of an image, label each region of it that lies in one class by a share of at least `purity`.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.formats.given_maps import read_given_map
from regionflow.formats.regions import RegionFile, masks_of
from regionflow.semantics import drawn_examples
from regionflow.semantics.example_files import (
    BadExamples,
    Example,
    LabelledRegion,
    resolve,
    spelled_otherwise,
    tell,
    unknown,
)


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
    tell(folder, problems)
    return labelled


def _label_map(path: Path, size: tuple[int, int], classes: int) -> NDArray[np.int64]:
    labels = read_given_map(path).astype(np.int64)
    if labels.shape != size:
        raise ValueError(f"{labels.shape} pixels for an image of {size}")
    if labels.size and not 0 <= labels.min() <= labels.max() <= classes:
        wrong = labels.max() if labels.max() > classes else labels.min()
        raise ValueError(f"value {wrong}, but there are {classes} classes")
    return labels


def _pure(inside: NDArray[np.int64], purity: float) -> int:
    """The value of most pixels if they are not none and their share is large enough; else 0."""
    counts = np.bincount(inside, minlength=1)
    value = int(counts.argmax())
    return value if len(inside) and counts[value] >= purity * len(inside) else 0


def checked(path: Path, classes: Sequence[str] | None) -> tuple[list[drawn_examples.Drawn], list[str]]:
    try:
        drawn, notes = drawn_examples.read_drawn(path)
    except ValueError as error:
        raise BadExamples(f"{path}: the examples cannot be used:\n{error}") from error
    spelled = [Example(number, one.image, one.name, said=one.place) for number, one in enumerate(drawn)]
    tell(path, [*unknown(spelled, classes, None), *spelled_otherwise(spelled)])
    return drawn, notes


def from_drawn(
    path: Path,
    classes: Sequence[str] | None,
    purity: float,
    images: Collection[str],
    regions: Callable[[str], RegionFile],
) -> tuple[list[LabelledRegion], list[str], list[str]]:
    """As `read_examples`, of a file of another tool: of an image's masks the later ones lie above the earlier."""
    drawn, notes = checked(path, classes)
    ids = {name: drawn_examples.image_of(name, images) for name in {one.image for one in drawn}}
    tell(path, [f"there is no image of the set for {name!r}" for name in sorted(ids) if ids[name] is None])
    of_image: dict[str, list[tuple[int, drawn_examples.Drawn]]] = {}
    for number, one in enumerate(drawn):
        of_image.setdefault(str(ids[one.image]), []).append((number, one))
    names = list(classes) if classes is not None else sorted({one.name for one in drawn})
    problems, examples = [], []
    for image, numbered in sorted(of_image.items()):
        file = regions(image)
        if file.image.error is not None:
            notes.append(f"{image} could not be read: its examples are left out")
            continue
        wrong = [one for _, one in numbered if one.size != file.size]
        if wrong:
            (there, here) = (f"{size[1]} x {size[0]}" for size in (wrong[0].size, file.size))
            problems.append(f"{wrong[0].place}: {image} is {there} pixels there and {here} here")
            continue
        for number, one in numbered:
            if one.point is not None:
                examples.append(Example(number, image, one.name, point=one.point, said=one.place))
        labels = np.zeros(file.size, np.int64)
        for _, one in numbered:
            if one.mask is not None:
                labels[rle.decode(one.mask)] = names.index(one.name) + 1
        for number, mask in enumerate(masks_of(file)):
            value = _pure(labels[rle.decode(mask)], purity)
            if value:
                examples.append(Example(-1, image, names[value - 1], region=number, said="a mask"))
    tell(path, problems)
    labelled, more = resolve(path, examples, regions)
    return labelled, names, [*notes, *more]
