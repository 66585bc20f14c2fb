"""Which images there are: a folder, a table, or the sample photos inside the installed packages.

An image's id is its path below the folder without the suffix, in POSIX form; it names the image's files in results/.
"""

import csv
import importlib.util
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from regionflow.base.errors import UserError
from regionflow.images.options import ImagesOptions

SAMPLES = {
    "skimage": (
        "data",
        ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg",
         "motorcycle_left.png", "rocket.jpg"),
    ),
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
}  # fmt: skip
MAX_NAME_BYTES = 200
REPEATED = re.compile(r"(.+?)\1{19,}$")
WINDOWS_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)


class ImageEntry(NamedTuple):
    """One image of the set: where its file is and which split it belongs to ("" for none)."""

    path: Path
    split: str


class ImageListError(UserError):
    """The list of images cannot be used; the text names every offending file."""


def find_images(options: ImagesOptions) -> dict[str, ImageEntry]:
    """All images by id, in ascending order of id.

    Raises ImageListError for a missing folder or table, no images, names that cannot be used, and ids that collide
    (also where they differ only in case or in Unicode form, which some file systems cannot tell apart).
    """
    if options.table is not None:
        pairs = list(_from_table(Path(options.table)))
    elif options.dir is not None:
        pairs = list(_from_folder(Path(options.dir), tuple(options.suffixes), options.follow_links))
    else:
        pairs = [(path.stem, ImageEntry(path, "")) for path in sample_photos()]
    if options.split_from == "folder":
        pairs = [(image, ImageEntry(entry.path, image.rpartition("/")[0].partition("/")[0])) for image, entry in pairs]
    if not pairs:
        where = options.table or options.dir or "the installed packages"
        raise ImageListError(f"no images in {where} (suffixes: {' '.join(options.suffixes)})")
    problems = [*_bad_names(pairs), *_collisions(pairs)]
    if problems:
        shown = "\n".join(f"  {p}" for p in problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ImageListError(f"{len(problems)} image name(s) cannot be used:\n{shown}{more}")
    return dict(sorted(pairs))


def sample_photos() -> Iterator[Path]:
    """The photos that scikit-image and scikit-learn bring along, of those that this installation has."""
    for package, (folder, names) in SAMPLES.items():
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            yield from (path for name in names if (path := Path(root) / folder / name).is_file())


def _from_folder(folder: Path, suffixes: tuple[str, ...], follow_links: bool) -> Iterator[tuple[str, ImageEntry]]:
    if not folder.is_dir():
        raise ImageListError(f"images.dir: {folder} is not a folder")
    wanted = tuple(s.lower() for s in suffixes)
    seen: set[Path] = set()
    for root, folders, files in os.walk(folder, followlinks=follow_links):
        # With links followed, a link to a parent folder would be walked for ever.
        real = Path(root).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in files:
            path = Path(root) / name
            if name.startswith(".") or path.suffix.lower() not in wanted:
                continue
            yield path.relative_to(folder).with_suffix("").as_posix(), ImageEntry(path, "")


def _from_table(table: Path) -> Iterator[tuple[str, ImageEntry]]:
    if not table.is_file():
        raise ImageListError(f"images.table: {table} is not a file")
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if not {"id", "path"} <= set(rows.fieldnames or []):
            raise ImageListError(f"{table}: the first line must name the columns id, path and, if wanted, split")
        for number, row in enumerate(rows, start=2):
            if not row["id"] or not row["path"]:
                raise ImageListError(f"{table}, line {number}: id and path must not be empty")
            # Relative paths are relative to the table, so that a data set can be moved as a whole.
            path = table.parent / row["path"]
            if not path.is_file():
                raise ImageListError(f"{table}, line {number}: {path} is not a file")
            yield row["id"], ImageEntry(path, row.get("split") or "")


def _bad_names(pairs: Iterable[tuple[str, ImageEntry]]) -> Iterator[str]:
    for image, entry in pairs:
        parts = image.split("/")
        if any(part in ("", ".", "..") for part in parts):
            reason = "an id is a relative path without empty parts, '.' or '..'"
        elif re.search(r"[\x00-\x1f\x7f{}\\]", image):
            reason = "control characters, braces and backslashes are not allowed in names"
        elif any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
            reason = f"a name is longer than {MAX_NAME_BYTES} bytes"
        elif any(WINDOWS_RESERVED.match(part.split(".")[0]) or part[-1] in ". " for part in parts):
            reason = "reserved on Windows, or ends in a dot or space"
        elif REPEATED.search(image):
            reason = "it ends in the same characters 20 times over, which Snakemake takes for an endless loop"
        else:
            continue
        yield f"{str(entry.path)!r}: {reason}"


def _collisions(pairs: Iterable[tuple[str, ImageEntry]]) -> Iterator[str]:
    same: dict[str, list[Path]] = defaultdict(list)
    for image, entry in pairs:
        same[unicodedata.normalize("NFC", image).casefold()].append(entry.path)
    for paths in same.values():
        if len(paths) > 1:
            yield "these have the same id: " + ", ".join(repr(str(p)) for p in sorted(paths))
