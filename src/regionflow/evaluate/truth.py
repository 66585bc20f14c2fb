"""Ground truth: true regions and classes of the images, from the files that people have."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected

from regionflow.base.errors import UserError
from regionflow.evaluate.errors import TruthError
from regionflow.evaluate.options import SUFFIXES, CocoTruth, LabelMapTruth, PanopticTruth
from regionflow.formats import rle
from regionflow.formats.coco import CocoImage, read_coco, read_mask
from regionflow.formats.given_maps import read_given_map


@dataclass(frozen=True)
class TrueRegion:
    """One true region; `label` is the place of its class in `Truth.classes`, -1 for none."""

    mask: rle.Rle
    label: int = -1
    crowd: bool = False


@dataclass(frozen=True)
class ImageTruth:
    """The true regions of one image of height x width pixels; they may overlap and need not cover it."""

    image_id: str
    height: int
    width: int
    regions: tuple[TrueRegion, ...]

    def segments(self) -> NDArray[np.int32]:
        """[H, W] number of the true region, -1 for none; the smallest of several."""
        areas = [rle.area(region.mask) for region in self.regions]
        out = np.full((self.height, self.width), -1, np.int32)
        for i in sorted(range(len(areas)), key=lambda i: -areas[i]):
            out[rle.decode(self.regions[i].mask)] = i
        return out

    def class_map(self) -> NDArray[np.int32]:
        """[H, W] class, -1 where none is known."""
        labels = np.array([*(region.label for region in self.regions), -1], np.int32)
        return labels[self.segments()]


Load = Callable[[int, int], Iterable[TrueRegion]]


@dataclass(frozen=True)
class Truth:
    """Ground truth of a set. classes: names. extra: entries that no image of the set has, missing: the reverse."""

    source: str
    classes: list[str]
    loaders: Mapping[str, Load] = field(repr=False)
    extra: list[str]
    missing: list[str]

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.loaders

    def image(self, image_id: str, height: int, width: int) -> ImageTruth:
        """The true regions of an image of the set, read now.

        Raises TruthError, naming the image, if they are of another size.
        """
        regions = tuple(self.loaders[image_id](height, width))
        for region in regions:
            if tuple(region.mask["size"]) != (height, width):
                had = " x ".join(map(str, region.mask["size"]))
                raise TruthError(f"{self.source}: {image_id} has {had} pixels, its image {height} x {width}")
        return ImageTruth(image_id, height, width, regions)


def open_truth(
    options: CocoTruth | PanopticTruth | LabelMapTruth, images: Iterable[str], column: Mapping[str, Path] | None = None
) -> Truth:
    """The ground truth of the images with these ids; `column` holds the label maps that the image table names.

    Raises TruthError if nothing can be read, or no image has ground truth.
    """
    ids = list(images)
    if isinstance(options, CocoTruth):
        source, classes, loaders = options.file, *_coco(Path(options.file))
    elif isinstance(options, PanopticTruth):
        source, classes, loaders = options.file, *_panoptic(Path(options.file), Path(options.dir))
    else:
        source = options.dir or f"column {options.column} of the image table"
        classes, loaders = _label_maps(options, ids, column or {})
    chosen = _by_id(source, loaders, ids)
    missing = [image for image in ids if image not in chosen]
    if not chosen:
        some = ", ".join(sorted(loaders)[:3]) or "nothing"
        raise TruthError(f"{source}: none of the {len(ids)} images has ground truth here; there is {some}")
    used = {id(loader) for loader in chosen.values()}
    return Truth(source, classes, chosen, sorted(k for k, v in loaders.items() if id(v) not in used), missing)


def _by_id(source: str, loaders: Mapping[str, Load], ids: list[str]) -> dict[str, Load]:
    """By the whole id; where a file names images without their folders, by the last part if that is unambiguous."""
    last: dict[str, list[str]] = defaultdict(list)
    for image in ids:
        last[PurePosixPath(image).name].append(image)
    chosen = {image: loaders[image] for image in ids if image in loaders}
    for name, images in last.items():
        if name in loaders and images[0] not in chosen:
            if len(images) > 1:
                raise TruthError(f"{source}: {name} may be any of {', '.join(images[:3])}; name the folder as well")
            chosen[images[0]] = loaders[name]
    return chosen


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(content[key], list) for key in ("images", "annotations")):
            raise TypeError("images and annotations must be lists")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TruthError(f"{path}: not a COCO file ({error})") from error
    return content


def _coco(path: Path) -> tuple[list[str], dict[str, Load]]:
    try:
        file = read_coco(path)
    except TruthError:
        raise
    except UserError as error:
        raise TruthError(str(error)) from error
    place = {number: i for i, number in enumerate(file.names)}

    def loader(entry: CocoImage) -> Load:
        def load(height: int, width: int) -> list[TrueRegion]:
            size = entry.size or (height, width)
            return [
                TrueRegion(_mask(path, r, *size), _class(path, r, place), bool(r.get("iscrowd", 0)))
                for r in entry.records
            ]

        return load

    return list(file.names.values()), {name: loader(entry) for name, entry in file.images.items()}


def _class(path: Path, record: Mapping[str, Any], place: Mapping[Any, int]) -> int:
    """The place of a record's class; -1 where nobody says. Raises TruthError for one that the file lacks."""
    category = record.get("category_id")
    if place and category is not None and category not in place:
        raise TruthError(f"{path}: annotation or segment {record.get('id')} is of category {category!r}, which is none")
    return place.get(category, -1)


def _mask(path: Path, record: Mapping[str, Any], height: int, width: int) -> rle.Rle:
    """A record's segmentation, whichever of COCO's three forms it has, as a compressed RLE."""
    try:
        return read_mask(record, height, width)
    except ValueError as error:
        raise TruthError(f"{path}: {error}") from error


def _panoptic(path: Path, folder: Path) -> tuple[list[str], dict[str, Load]]:
    content = _json(path)
    loaders: dict[str, Load] = {}
    try:
        names = [str(category["name"]) for category in content.get("categories", [])]
        place = {category["id"]: i for i, category in enumerate(content.get("categories", []))}
        for record in content["annotations"]:
            name = PurePosixPath(record["file_name"]).with_suffix("").as_posix()
            if name in loaders:
                raise TruthError(f"{path}: two annotations are of {name!r}")
            segments = {s["id"]: s for s in record["segments_info"]}
            loaders[name] = partial(_segments, (path, folder / record["file_name"]), segments, place)
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise TruthError(f"{path}: not a COCO panoptic file ({reason})") from error
    return names, loaders


def _segments(
    files: tuple[Path, Path], segments: Mapping[int, Mapping[str, Any]], place: Mapping[Any, int], *size: int
) -> list[TrueRegion]:
    """The segments that a picture shows; `files` are the JSON file and the picture.

    Raises TruthError unless both have the same segments: with one of another version, pixels would count as unknown.
    """
    path, picture = files
    pixels = _pixels(picture, colour=True).astype(np.int64)
    masks = rle.from_label_map(pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2])
    for lacking, where in ((masks.keys() - segments.keys() - {0}, path), (segments.keys() - masks.keys(), picture)):
        if lacking:
            raise TruthError(f"{picture}: the segment {min(lacking)} is not in {where}; are they of one version?")
    return [
        TrueRegion(masks[number], _class(path, segment, place), bool(segment.get("iscrowd", 0)))
        for number, segment in segments.items()
    ]


def _label_maps(
    options: LabelMapTruth, ids: list[str], column: Mapping[str, Path]
) -> tuple[list[str], dict[str, Load]]:
    names = _class_names(Path(options.classes)) if options.classes else {}
    if options.dir is None:
        files = dict(column)
    else:
        folder = Path(options.dir)
        if not folder.is_dir():
            raise TruthError(f"truth.dir: {folder} is not a folder")
        every = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        files = {}
        for picture in every:
            name = picture.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                raise TruthError(f"truth.dir: {files[name]} and {picture} are both of {name!r}; remove one")
            files[name] = picture
    if options.values == "classes" and not names:
        values = sorted({int(v) for i in ids if i in files for v in np.unique(_pixels(files[i]))} - {*options.ignore})
        names = {value: str(value) for value in values}
    place = {value: i for i, value in enumerate(names)}

    def loader(path: Path) -> Load:
        def load(height: int, width: int) -> list[TrueRegion]:
            pixels = _pixels(path).astype(np.int64)
            if options.values == "instances":
                masks = rle.from_label_map(pixels)
                return [TrueRegion(mask) for value, mask in masks.items() if value != options.background]
            unknown = sorted({int(v) for v in np.unique(pixels)} - {*place, *options.ignore})
            if unknown:
                raise TruthError(f"{path}: no name for the value {unknown[0]} in {options.classes}")
            known = ~np.isin(pixels, options.ignore)
            parts = np.where(known, connected(pixels + 1, connectivity=1, background=-1), -1)
            of_part = dict(zip(*(a.tolist() for a in _first_values(parts, pixels)), strict=True))
            return [TrueRegion(mask, place[of_part[part]]) for part, mask in rle.from_label_map(parts).items()]

        return load

    return list(names.values()), {image: loader(path) for image, path in files.items()}


def _first_values(parts: NDArray[np.integer], pixels: NDArray[np.integer]) -> tuple[NDArray, NDArray]:
    """The different values of `parts`, and that of `pixels` at the first place of each."""
    numbers, at = np.unique(parts, return_index=True)
    return numbers, pixels.ravel()[at]


def _class_names(path: Path) -> dict[int, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {int(row["value"]): row["name"] for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TruthError(f"{path}: not a CSV file with the columns value and name ({error})") from error


def _pixels(path: Path, colour: bool = False) -> NDArray[np.integer]:
    """The integers of a label map [H, W], or [H, W, 3] bytes for `colour`."""
    try:
        return read_given_map(path, colour)
    except ValueError as error:
        raise TruthError(f"{path}: {error}") from error
