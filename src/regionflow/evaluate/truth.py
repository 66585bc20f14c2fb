"""Ground truth: true regions and classes of the images, from the files that people have."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label as connected

from regionflow.evaluate.errors import TruthError
from regionflow.evaluate.options import SUFFIXES, CocoTruth, LabelMapTruth, PanopticTruth
from regionflow.formats import rle
from regionflow.formats.coco import read_mask


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


def _categories(content: Mapping[str, Any]) -> tuple[list[str], dict[Any, int]]:
    """Names of the categories in the order of the file, and the place of each id."""
    categories = content.get("categories", [])
    return [str(c["name"]) for c in categories], {c["id"]: i for i, c in enumerate(categories)}


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).with_suffix("").as_posix()


def _coco(path: Path) -> tuple[list[str], dict[str, Load]]:
    content = _json(path)
    names, place = _categories(content)
    records: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for record in content["annotations"]:
        records[record["image_id"]].append(record)

    def loader(entry: Mapping[str, Any]) -> Load:
        def load(height: int, width: int) -> list[TrueRegion]:
            size = int(entry.get("height", height)), int(entry.get("width", width))
            return [
                TrueRegion(_mask(path, r, *size), place.get(r.get("category_id"), -1), bool(r.get("iscrowd", 0)))
                for r in records[entry["id"]]
            ]

        return load

    return names, {_stem(entry["file_name"]): loader(entry) for entry in content["images"]}


def _mask(path: Path, record: Mapping[str, Any], height: int, width: int) -> rle.Rle:
    """A record's segmentation, whichever of COCO's three forms it has, as a compressed RLE."""
    try:
        return read_mask(record, height, width)
    except ValueError as error:
        raise TruthError(f"{path}: {error}") from error


def _panoptic(path: Path, folder: Path) -> tuple[list[str], dict[str, Load]]:
    content = _json(path)
    names, place = _categories(content)

    def loader(record: Mapping[str, Any]) -> Load:
        def load(height: int, width: int) -> list[TrueRegion]:
            pixels = _pixels(folder / record["file_name"], colour=True).astype(np.int64)
            ids = pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2]
            masks = rle.from_label_map(ids)
            segments = [s for s in record["segments_info"] if s["id"] in masks]
            return [
                TrueRegion(masks[s["id"]], place.get(s["category_id"], -1), bool(s.get("iscrowd", 0))) for s in segments
            ]

        return load

    return names, {_stem(record["file_name"]): loader(record) for record in content["annotations"]}


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
        files = {p.relative_to(folder).with_suffix("").as_posix(): p for p in every}
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
    """The integers of a label map [H, W], or [H, W, 3] bytes for `colour`; nothing is scaled or converted."""
    try:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB") if colour else opened)
    except OSError as error:
        raise TruthError(f"{path}: cannot be read as a label map ({error})") from error
    if not colour and (pixels.ndim != 2 or pixels.dtype.kind not in "iub"):
        raise TruthError(f"{path}: a label map has one channel of integers, not {pixels.dtype} {pixels.shape}")
    return pixels
