"""Is everything in results/ what it claims to be? Every file is read as the stages read it, whatever its time says.

A run remakes what is missing; what is damaged it cannot see. `snakemake verify` and `regionflow verify` name each
unsound file and remove it, so that the next run remakes it and what depends on it.
"""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from regionflow.base.errors import BadFile
from regionflow.base.files import sha256_of
from regionflow.base.pixel_limit import without_pixel_limit
from regionflow.base.reads import noted
from regionflow.formats.checksums import checksum_of
from regionflow.formats.classifiers import read_classifier, read_validation
from regionflow.formats.clusters import read_clusters, read_comparison
from regionflow.formats.features import read_features
from regionflow.formats.images import read_images
from regionflow.formats.islands import read_islands
from regionflow.formats.labels import read_label_map, read_labels
from regionflow.formats.origins import Origin, Origins, cut, read_origins
from regionflow.formats.parquet import check_parquet
from regionflow.formats.part_set import PartSet, read_projection
from regionflow.formats.parts import read_part_masks, read_part_targets
from regionflow.formats.pooled import check_pooled_set, read_pooled
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.formats.semantics import read_semantics
from regionflow.formats.shards import read_summary
from regionflow.formats.training import check_checkpoint, read_metrics, read_record


@dataclass(frozen=True)
class Place:
    """A file below results/, and the names in its path: image, extractor, regions ..."""

    root: Path
    path: Path
    names: Mapping[str, str]

    @property
    def image(self) -> str:
        return self.names["image"]

    def regions(self) -> RegionFile | None:
        """The region file of the same image; None if it is not sound, for which it is named by itself."""
        try:
            return read_regions(self.root / "regions" / self.names["regions"] / f"{self.image}.json", self.image)
        except BadFile:
            return None


def verify(root: Path, threads: int = 1) -> list[tuple[Path, BadFile]]:
    """Every file below `root` that is not what it claims to be, with what is wrong, in order of their paths.

    Missing files are no matter of this: a run makes them. Files that no stage writes are left alone.
    """
    paths, origins, sums = files(root), read_origins(root), dict[str, str]()
    with ThreadPoolExecutor(threads) as pool, noted(sums):
        problems = dict(zip(paths, pool.map(lambda path: problem_of(root, path, origins, sums), paths), strict=True))
    now = {_below(root, path): cut(_sum(path, sums)) for path, problem in problems.items() if problem is None}
    for name in now:
        problems[root / name] = _made_from_others(root / name, origins.of(name), now, name)
    return [(path, problem) for path, problem in problems.items() if problem]


def files(root: Path) -> list[Path]:
    """The files below `root` that stages have written, whole: names that begin with a dot are being written."""
    return sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".") and check_of(root, p))


def problem_of(
    root: Path, path: Path, origins: Origins | None = None, sums: Mapping[str, str] | None = None
) -> BadFile | None:
    """What is wrong with one file by itself, or None; `sums` are checksums of files that have been read."""
    chosen = check_of(root, path)
    if chosen is None:
        return None
    check, place = chosen
    try:
        check(place)
        now, name = cut(_sum(path, sums or {})), _below(root, path)
        known = {origin.outputs[name] for origin in (origins or Origins()).of(name)}
        if known and now not in known:
            return BadFile.replaced(path)
    except BadFile as error:
        return error
    return None


def _made_from_others(path: Path, origins: Iterable[Origin], now: Mapping[str, str], name: str) -> BadFile | None:
    """Whether a file was made from others than those that are there; those that are unsound will be remade."""
    for origin in origins:
        if origin.outputs[name] != now[name]:
            continue  # another host made it before or after
        others = sorted(source for source, checksum in origin.inputs.items() if now.get(source, checksum) != checksum)
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            return BadFile.to_be_remade(f"{path}: it was made from another version of {others[0]}{more}")
    return None


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _sum(path: Path, sums: Mapping[str, str]) -> str:
    """The checksum of a file, perhaps from when it was read. Raises BadFile if it cannot be read."""
    try:
        return sums.get(os.path.abspath(path)) or checksum_of(path)  # noqa: PTH100
    except OSError as error:
        raise BadFile.not_read(path, error) from error


def remove(root: Path, problems: Iterable[tuple[Path, BadFile]]) -> list[Path]:
    """Take away the files whose content is at fault; not those that could not be read.

    What can be read and is not what a job wrote goes to `aside(root)`: somebody may have put work into it.
    """
    unsound = [(path, problem) for path, problem in problems if problem.unsound]
    for path, problem in unsound:
        if problem.whole:
            other = aside(root) / path.relative_to(root)
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, other)
        path.unlink(missing_ok=True)
    return [path for path, _ in unsound]


def aside(root: Path) -> Path:
    """Where files go that somebody has put in the place of others."""
    return root.parent / "logs/replaced"


def check_of(root: Path, path: Path) -> tuple[Callable[[Place], object], Place] | None:
    """How a file is checked, by its place; None for one that no stage writes."""
    pattern = pattern_of(root, path)
    match = pattern and _compiled(pattern).fullmatch(_below(root, path))
    return (CHECKS[pattern], Place(root, path, match.groupdict())) if pattern and match else None


def pattern_of(root: Path, path: Path) -> str | None:
    """The kind of a file: its path with names in place of images and variants; None if no stage writes it."""
    name = _below(root, path)
    return next((pattern for pattern in CHECKS if _compiled(pattern).fullmatch(name)), None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A path with {names} in it: an image id may hold slashes, the name of a variant none."""
    parts = re.split(r"\{(\w+)\}", pattern)
    for i, name in enumerate(parts):
        parts[i] = re.escape(name) if i % 2 == 0 else f"(?P<{name}>{'.+' if name == 'image' else '[^/]+'})"
    return re.compile("".join(parts))


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
        with without_pixel_limit(), Image.open(place.path) as image:
            image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise BadFile.damaged(place.path, "a picture", error) from error


def _photo(place: Place) -> None:
    """A photo beside a COCO file: a link that leads somewhere, or a copy that decodes or is as the original was."""
    if place.path.is_symlink() or place.path.stat().st_size == 0:  # empty for one that was not there
        return
    try:
        _picture(place)
    except BadFile:
        with suppress(BadFile):
            originals = {row.sha256 for row in read_images(place.root / "images.tsv")}
            if sha256_of(place.path) in originals:
                return
        raise


def _json(place: Place) -> None:
    try:
        json.loads(place.path.read_bytes())
    except ValueError as error:
        raise BadFile.damaged(place.path, "a JSON file", error) from error


def _json_lines(place: Place) -> None:
    """Every line is JSON, the last one too."""
    try:
        for line in place.path.read_bytes().split(b"\n")[:-1]:
            json.loads(line)
        if not place.path.read_bytes().endswith(b"\n") and place.path.stat().st_size:
            raise ValueError("it is cut off")
    except ValueError as error:
        raise BadFile.damaged(place.path, "a file of JSON lines", error) from error


def _text(place: Place) -> None:
    """A page or a drawing: its last tag is there."""
    if not place.path.read_bytes().rstrip().endswith((b"</html>", b"</svg>", b"</View>")):
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


def _part_network(place: Place) -> None:
    from regionflow.formats.part_model import read_part_model  # imports torch

    read_part_model(place.path)


def _regions(place: Place) -> None:
    read_regions(place.path, place.image)


# By path, as the rules name them.
CHECKS: dict[str, Callable[[Place], object]] = {
    "images.tsv": lambda place: read_images(place.path),
    "problems.tsv": _table,
    "features/{extractor}/{image}.h5": lambda place: read_features(place.path, place.image),
    "masks/{segmenter}/{image}.json": _regions,
    "superpixels/{superpixels}/{image}.json": _regions,
    "superpixels/{superpixels}/{image}.png": _superpixel_map,
    "regions/{regions}/{image}.json": _regions,
    "pooled/{extractor}/{regions}/{image}.h5": _pooled,
    "pooled/{extractor}/{regions}.h5": _pooled_set,
    "clusters/{extractor}/{regions}/centroids.h5": lambda place: read_clusters(place.path),
    "clusters/{extractor}/{regions}/k{k}.h5": lambda place: read_clusters(place.path),
    "clusters/{extractor}/{regions}/comparison.tsv": lambda place: read_comparison(place.path),
    "labels/{extractor}/{regions}/{image}.json": _labels,
    "labels/{extractor}/{regions}/{image}.png": _label_map,
    "semantics/{labeler}/{regions}/{image}.json": _semantics,
    "semantics/{labeler}/{regions}/{image}.png": _label_map,
    "classifiers/{labeler}/{regions}.h5": _classifier,
    "classifiers/{labeler}/{regions}.tsv": _table,
    "parts/masks/{image}.json.gz": lambda place: read_part_masks(place.path, place.image),
    "parts/targets/{image}.h5": lambda place: read_part_targets(place.path, place.image),
    "parts/set.h5": lambda place: PartSet(place.path),
    "parts/colours.h5": lambda place: read_projection(place.path),
    "parts/model/model.safetensors": _part_network,
    "parts/model/record.csv": lambda place: read_record(place.path),
    "parts/model/checkpoint.pt": lambda place: check_checkpoint(place.path),
    "parts/model/curves.svg": _text,
    "parts/model/metrics.json": lambda place: read_metrics(place.path),
    "parts/probe/probe.safetensors": _part_network,
    "parts/probe/checkpoint.pt": lambda place: check_checkpoint(place.path),
    "parts/probe/record.csv": lambda place: read_record(place.path),
    "parts/probe/accuracy.json": _json,
    "parts/probe/confusion.csv": _table,
    "parts/islands/{image}.png": _picture,
    "parts/islands/{image}.json": lambda place: read_islands(place.path, place.image),
    "parts/agreement.csv": _table,
    "evaluation/masks/{segmenter}.json": _json,
    "evaluation/masks/{segmenter}.tsv": _table,
    "evaluation/regions/{regions}.json": _json,
    "evaluation/regions/{regions}.tsv": _table,
    "evaluation/clusters/{extractor}/{regions}.json": _json,
    "evaluation/semantics/{labeler}/{regions}.json": _json,
    "evaluation/masks.tsv": _table,
    "evaluation/regions.tsv": _table,
    "evaluation/clusters.tsv": _table,
    "evaluation/semantics.tsv": _table,
    "coco/{extractor}/{regions}.json": _json,
    "coco/{extractor}/{regions}/annotations/instances_{split}.json": _json,
    "coco/{extractor}/{regions}/images/metadata.jsonl": _json_lines,
    "coco/{extractor}/{regions}/images/{image}": _photo,
    "region_tables/{extractor}/{regions}.csv": _table,
    "region_tables/{extractor}/{regions}.parquet": lambda place: check_parquet(place.path),
    "colour_maps/{extractor}/{regions}/{image}.png": _picture,
    "colour_maps/{extractor}/{regions}/classes.csv": _table,
    "named/{labeler}/{regions}/classes.csv": _table,
    "named/{labeler}/{regions}/coco.json": _json,
    "named/{labeler}/{regions}/annotations/instances_{split}.json": _json,
    "named/{labeler}/{regions}/images/{image}": _photo,
    "named/{labeler}/{regions}/label_studio.json": _json,
    "named/{labeler}/{regions}/label_studio.xml": _text,
    "named/{labeler}/{regions}/maps/{image}.png": _picture,
    "named/{labeler}/{regions}/panoptic.json": _json,
    "named/{labeler}/{regions}/panoptic/{image}.png": _picture,
    "named/{labeler}/{regions}/regions.csv": _table,
    "named/{labeler}/{regions}/regions.parquet": lambda place: check_parquet(place.path),
    "report/{extractor}/{regions}/overlays/{image}.jpg": _picture,
    "report/{extractor}/{regions}/contact_sheet.jpg": _picture,
    "report/{extractor}/{regions}/report.html": _text,
    "report/index.html": _text,
    "report/evaluation.html": _text,
    "report/parts.html": _text,
    "shards/{phase}/set.json": lambda place: read_summary(place.path),
    "shards/{phase}/{shard}.json": lambda place: read_summary(place.path),
}
