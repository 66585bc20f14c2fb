"""Which images there are: a folder, a table, or the sample photos inside the installed packages.

An image's id is its path below the folder without the suffix, in POSIX form; it names the image's files in results/.
Whether a file can be read is not asked here: one that cannot is an unreadable image of the set. A file whose name
cannot be an id is left out and told.
"""

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from regionflow.formats.images import TRAIN, plain_split
from regionflow.images.errors import ImageListError
from regionflow.images.folder import Walk, told_suffixes, walk
from regionflow.images.names import collisions, shown, why_not_an_id
from regionflow.images.options import ImagesOptions
from regionflow.images.table import read_table

__all__ = ["ImageEntry", "ImageListError", "ImageSet", "find_images", "find_set", "sample_photos"]

SAMPLES = {
    "skimage": (
        "data",
        ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg",
         "motorcycle_left.png", "rocket.jpg"),
    ),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
}  # fmt: skip
OUTPUTS = (Path("results"), Path("logs"))
SHOWN = 20


class ImageEntry(NamedTuple):
    """One image of the set: where its file is and which split it belongs to ("" for none)."""

    path: Path
    split: str


class LeftOut(NamedTuple):
    """A file or folder that is not in the set, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """The images by id, in ascending order of id, and what is not among them."""

    images: dict[str, ImageEntry]
    left_out: list[LeftOut] = field(default_factory=list)
    own_outputs: list[str] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)

    def told(self) -> list[str]:
        """What people should know about the set that is in no table: one line each."""
        lines = []
        if self.own_outputs:
            lines.append(f"left out because they are or hold outputs of regionflow: {', '.join(self.own_outputs)}")
        if self.suffixes:
            kinds = ", ".join(told_suffixes(self.suffixes))
            lines.append(f"{self.suffixes.total()} file(s) left out for their suffix (images.suffixes): {kinds}")
        return lines


def find_images(options: ImagesOptions, outputs: Iterable[Path] = OUTPUTS) -> dict[str, ImageEntry]:
    """All images by id, in ascending order of id; see `find_set`."""
    return find_set(options, outputs).images


def find_set(options: ImagesOptions, outputs: Iterable[Path] = OUTPUTS) -> ImageSet:
    """All images, and what was left out; `outputs` are the folders into which the run writes.

    Raises ImageListError for a missing folder or table, no images, rows of a table that cannot be used, and ids that
    collide (also where they differ only in case or in Unicode form, which some file systems cannot tell apart).
    """
    found = Walk()
    if options.table is not None:
        table = Path(options.table)
        entries = [(image, ImageEntry(path, split)) for image, path, split in read_table(table)]
        bad = [f"{image!r}: {reason}" for image, _ in entries if (reason := why_not_an_id(image))]
        _refuse(bad, f"id(s) in {table} cannot be used")
    else:
        if options.dir is not None:
            found = walk(Path(options.dir), options.suffixes, options.follow_links, outputs)
        else:
            samples = sample_photos() if options.sample == "photos" else _truth_pictures()
            found.images = [(path.stem, path) for path in samples]
        entries = [(image, ImageEntry(path, "")) for image, path in found.images]
    left_out = [LeftOut(shown(path), reason) for path, reason in found.problems]
    reasons = [why_not_an_id(image) for image, _ in entries]
    left_out += [LeftOut(shown(e.path), why) for (_, e), why in zip(entries, reasons, strict=True) if why]
    entries = [pair for pair, why in zip(entries, reasons, strict=True) if not why]
    _refuse(list(collisions((image, entry.path) for image, entry in entries)), "image name(s) cannot be used")
    if options.split_from == "folder":
        entries = [(image, ImageEntry(e.path, image.rpartition("/")[0].partition("/")[0])) for image, e in entries]
    images = ImageSet(
        dict(sorted(_one_spelling(entries))), left_out, [shown(path) for path in found.own_outputs], found.suffixes
    )
    if not images.images:
        raise ImageListError(_no_images(options, images))
    return images


def listing(images: Mapping[str, ImageEntry]) -> str:
    """A hash of ids and splits: whether two lists of images are the same."""
    lines = (f"{image}\t{entry.split}\n" for image, entry in sorted(images.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def members(images: Iterable[str]) -> str:
    """A hash of ids: whether two sets have the same images."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()[:16]


def _one_spelling(entries: Iterable[tuple[str, ImageEntry]]) -> Iterator[tuple[str, ImageEntry]]:
    """Splits that differ in case, blanks or the form of their letters (NFC, NFD) are one.

    Each gets the spelling that comes first; training is train.
    """
    spelling = {TRAIN: TRAIN, "training": TRAIN}
    for image, entry in entries:
        split = plain_split(entry.split)
        yield image, entry._replace(split=spelling.setdefault(split.casefold(), split))


def _refuse(problems: list[str], what: str) -> None:
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ImageListError("\n  ".join([f"{len(problems)} {what}:", *problems[:SHOWN]]) + more)


def _no_images(options: ImagesOptions, images: ImageSet) -> str:
    where = options.table or options.dir or "the installed packages"
    lines = [f"no images in {where} (suffixes: {' '.join(options.suffixes)})", *images.told()]
    lines += [f"{path}: {reason}" for path, reason in images.left_out[:SHOWN]]
    return "\n  ".join(lines)


def _truth_pictures() -> list[Path]:
    # What lays them out needs libraries that take long to import.
    from regionflow.images.labelled import truth_pictures

    return truth_pictures()


def sample_photos() -> Iterator[Path]:
    """The photos that scikit-image and scikit-learn bring along, of those that this installation has."""
    for package, (folder, names) in SAMPLES.items():
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            yield from (path for name in names if (path := Path(root) / folder / name).is_file())
