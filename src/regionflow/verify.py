"""Is everything in results/ what it claims to be? Every file is read as the stages read it, whatever its time says.

A run remakes what is missing; what is damaged it cannot see. `snakemake verify` and `regionflow verify` name each
unsound file and remove it, so that the next run remakes it and what depends on it.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from regionflow.base.errors import BadFile
from regionflow.formats.classifiers import read_classifier, read_validation
from regionflow.formats.clusters import read_clusters, read_comparison
from regionflow.formats.features import read_features
from regionflow.formats.images import read_images
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.pooled import check_pooled_set, read_pooled
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.formats.semantics import read_semantics


@dataclass(frozen=True)
class Place:
    """A file below results/: the folders of its variant, and the image that it is of or the name that it has."""

    root: Path
    path: Path
    variant: tuple[str, ...]
    image: str

    def regions(self) -> RegionFile | None:
        """The region file of the same image, which has been checked by itself; None if it is not sound."""
        try:
            return read_regions(self.root / "regions" / self.variant[-1] / f"{self.image}.json", self.image)
        except BadFile:
            return None


def verify(root: Path, threads: int = 1) -> Iterator[tuple[Path, BadFile]]:
    """Every file below `root` that is not what it claims to be, with what is wrong, in order of their paths.

    Missing files are no matter of this: a run makes them. Files that no stage writes are left alone.
    """
    paths = files(root)
    with ThreadPoolExecutor(threads) as pool:
        problems = pool.map(lambda path: problem_of(root, path), paths)
        yield from ((path, problem) for path, problem in zip(paths, problems, strict=True) if problem)


def files(root: Path) -> list[Path]:
    """The files below `root` that stages have written, whole: names that begin with a dot are being written."""
    return sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".") and check_of(root, p))


def problem_of(root: Path, path: Path) -> BadFile | None:
    """What is wrong with one file, or None."""
    chosen = check_of(root, path)
    if chosen is None:
        return None
    check, place = chosen
    try:
        check(place)
    except BadFile as error:
        return error
    return None


def remove(problems: Iterable[tuple[Path, BadFile]]) -> list[Path]:
    """Remove the files whose content is at fault; not those that could not be read."""
    unsound = [path for path, problem in problems if problem.unsound]
    for path in unsound:
        path.unlink(missing_ok=True)
    return unsound


def check_of(root: Path, path: Path) -> tuple[Callable[[Place], object], Place] | None:
    """How a file is checked, by its place and suffix; None for one that no stage writes."""
    parts = path.relative_to(root).parts
    # Of a set: results/images.tsv, results/pooled/EXTRACTOR/REGIONS.h5. Of an image: below the folders of a variant.
    for depth in (2, 1, 0):
        key = (parts[0] if len(parts) > 1 else path.name, depth, path.suffix)
        if key in CHECKS and len(parts) > depth + 1 - (len(parts) == 1):
            image = Path(*parts[depth + 1 :]).with_suffix("").as_posix() if len(parts) > 1 else ""
            return CHECKS[key], Place(root, path, parts[1 : depth + 1], image)
    return None


def _pooled(place: Place) -> None:
    regions = place.regions()
    read_pooled(place.path, place.image, regions.sha256 if regions else None)


def _pooled_set(place: Place) -> None:
    folder = place.path.with_suffix("")
    check_pooled_set(place.path, lambda image: folder / f"{image}.h5")


def _labels(place: Place) -> None:
    _same_regions(place, read_labels(place.path, place.image).regions_sha256)


def _semantics(place: Place) -> None:
    _same_regions(place, read_semantics(place.path, place.image).regions_sha256)


def _same_regions(place: Place, sha256: str) -> None:
    regions = place.regions()
    if regions and regions.sha256 != sha256:
        raise BadFile.to_be_remade(f"{place.path}: it is of another version of the image's region file")


def _label_map(place: Place) -> None:
    regions = place.regions()
    read_label_map(place.path, place.image, regions.size if regions else None)


def _superpixel_map(place: Place) -> None:
    size = None
    with suppress(BadFile):  # the region file is named by itself
        size = read_regions(place.path.with_suffix(".json"), place.image).size
    read_label_map(place.path, place.image, size)


def _classifier(place: Place) -> None:
    read_classifier(place.path)
    read_validation(place.path)


def _picture(place: Place) -> None:
    """An overlay or a coloured label map: decodes to its end."""
    try:
        with Image.open(place.path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise BadFile.damaged(place.path, "a picture", error) from error


def _json(place: Place) -> None:
    try:
        json.loads(place.path.read_bytes())
    except ValueError as error:
        raise BadFile.damaged(place.path, "a JSON file", error) from error


def _page(place: Place) -> None:
    if not place.path.read_bytes().rstrip().endswith(b"</html>"):
        raise BadFile.damaged(place.path, "a page", "it is cut off")


def _table(place: Place) -> None:
    """A table: UTF-8, and every row has as many cells as the first."""
    try:
        with place.path.open(newline="", encoding="utf-8") as file:
            widths = {len(row) for row in csv.reader(file, delimiter="\t" if place.path.suffix == ".tsv" else ",")}
        if len(widths) != 1:
            raise ValueError("its rows differ in length")
    except (ValueError, csv.Error) as error:
        raise BadFile.damaged(place.path, "a table", error) from error


def _regions(place: Place) -> None:
    read_regions(place.path, place.image)


# By folder, number of folders of the variant, and suffix; files of the set by name.
CHECKS: dict[tuple[str, int, str], Callable[[Place], object]] = {
    ("images.tsv", 0, ".tsv"): lambda place: read_images(place.path),
    ("problems.tsv", 0, ".tsv"): _table,
    ("features", 1, ".h5"): lambda place: read_features(place.path, place.image),
    ("masks", 1, ".json"): _regions,
    ("superpixels", 1, ".json"): _regions,
    ("superpixels", 1, ".png"): _superpixel_map,
    ("regions", 1, ".json"): _regions,
    ("pooled", 2, ".h5"): _pooled,
    ("pooled", 1, ".h5"): _pooled_set,
    ("clusters", 2, ".h5"): lambda place: read_clusters(place.path),
    ("clusters", 2, ".tsv"): lambda place: read_comparison(place.path),
    ("labels", 2, ".json"): _labels,
    ("labels", 2, ".png"): _label_map,
    ("semantics", 2, ".json"): _semantics,
    ("semantics", 2, ".png"): _label_map,
    ("classifiers", 1, ".h5"): _classifier,
    ("classifiers", 1, ".tsv"): _table,
    ("coco", 1, ".json"): _json,
    ("region_tables", 1, ".csv"): _table,
    ("colour_maps", 2, ".png"): _picture,
    ("colour_maps", 2, ".csv"): _table,
    ("named", 2, ".json"): _json,
    ("named", 2, ".csv"): _table,
    ("named", 2, ".png"): _picture,
    ("report", 2, ".jpg"): _picture,
    ("report", 2, ".html"): _page,
}
