"""Which content of an image the files in results/ were made from, without reading images while planning.

A version is a short text per image: "1" for the content that was there first, afterwards the hash of the content. It
is raised only when size or times of the file have changed *and* its content hashes differently. So an older file in an
image's place is seen, a touched or moved file changes nothing, and planning reads stats alone. Jobs record the version
of the image that they read, which Snakemake compares.

The memory is a file in .snakemake/, beside Snakemake's own records and as old as they: per image and path the stat that
was last seen, the sha256 where it is known, and the version. What was hashed by the stage `images` is taken from its
table.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of
from regionflow.formats.images import read_images
from regionflow.images.find import ImageEntry

MEMORY = Path(".snakemake/regionflow_images.json")
TABLE = Path("results/images.tsv")
FIRST = "1"
_THREADS = 4

Stat = list[int]  # size in bytes, ns of the last change of content, ns of the last change of anything


@dataclass(slots=True)
class Seen:
    """What is remembered of an image at one path."""

    stat: Stat | None
    sha256: str | None
    version: str


@dataclass
class Versions:
    """The version of every image of the set, and the ids that were once in it."""

    images: dict[str, str]
    gone: list[str] = field(default_factory=list)

    def of_set(self, images: Mapping[str, ImageEntry]) -> str:
        """A hash of ids, versions, splits and paths: what the table of the images depends on."""
        lines = (json.dumps([i, self.images[i], entry.split, str(entry.path)]) for i, entry in sorted(images.items()))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def image_versions(
    images: Mapping[str, ImageEntry], table: Path = TABLE, memory: Path = MEMORY, update: bool = True
) -> Versions:
    """Versions of the images of a set; of `table`, results/images.tsv, the hashes are taken where they fit.

    With `update` the memory is brought up to date. Without (in a job that plans nothing) it is only read.
    """
    known = _load(memory)
    hashes = _Hashes(table)
    # As they are given: where a whole project moves, they stay.
    paths = {image: str(entry.path) for image, entry in images.items()}
    stats = {image: _stat(path) for image, path in paths.items()}
    if not update:
        return Versions({image: _remembered(known.get(image, {}), paths[image]) for image in images})
    suspects = [image for image in images if _is_changed(known.get(image, {}), paths[image], stats[image])]
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = dict(zip(suspects, pool.map(lambda image: _hash(paths[image], stats[image]), suspects), strict=True))
    news = False
    for image in images:
        at_paths, path, stat = known.setdefault(image, {}), paths[image], stats[image]
        if image in digests:
            version = _version(at_paths, path, digests[image], hashes)
            at_paths[path] = Seen(stat, digests[image], version)
        elif path not in at_paths:
            at_paths[path] = Seen(stat, None, FIRST)
        else:
            continue
        news = True
    gone = [image for image in known if image not in images]
    if news:
        _save(memory, known)
    return Versions({image: known[image][paths[image]].version for image in images}, gone)


def forget(images: Iterable[str], memory: Path = MEMORY) -> None:
    """Drop images from the memory: nothing is left that was made of them."""
    known = _load(memory)
    for image in images:
        known.pop(image, None)
    _save(memory, known)


def _is_changed(at_paths: Mapping[str, Seen], path: str, stat: Stat | None) -> bool:
    """Whether the file may hold something else than what was last seen under this id."""
    return bool(at_paths) and (path not in at_paths or at_paths[path].stat != stat)


def _version(at_paths: Mapping[str, Seen], path: str, digest: str | None, hashes: "_Hashes") -> str:
    """The version of content with that hash: of the record that has the same, else its own."""
    last = at_paths[path] if path in at_paths else list(at_paths.values())[-1]
    place = path if path in at_paths else list(at_paths)[-1]
    before = last.sha256 or hashes.of(place, last.stat)
    if digest == before and (digest or last.stat is None):
        return last.version
    return digest[:16] if digest else "none"


def _remembered(at_paths: Mapping[str, Seen], path: str) -> str:
    return at_paths[path].version if path in at_paths else FIRST


def _stat(path: str) -> Stat | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 (of every image of the set, in every plan)
    except OSError:
        return None
    if not S_ISREG(stat.st_mode):
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _hash(path: str, stat: Stat | None) -> str | None:
    """The sha256 of a regular file, or None for what cannot be read."""
    try:
        return sha256_of(Path(path)) if stat is not None else None
    except OSError:
        return None


class _Hashes:
    """sha256 of files as the stage `images` found them; its table is read when it is first asked for."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._rows: dict[str, tuple[int, int, str]] | None = None

    def of(self, path: str, stat: Stat | None) -> str | None:
        """The hash of the content that the file had when it had that stat, if that is known."""
        if self._rows is None:
            self._rows = self._read()
        size, modified, sha256 = self._rows.get(path, (-1, -1, ""))
        return sha256 if stat is not None and [size, modified] == stat[:2] and sha256 else None

    def _read(self) -> dict[str, tuple[int, int, str]]:
        try:
            rows = read_images(self._table)
        except (UserError, OSError):
            return {}
        return {row.path: (row.bytes, row.modified, row.sha256) for row in rows}


def _load(memory: Path) -> dict[str, dict[str, Seen]]:
    try:
        images = json.loads(memory.read_bytes())["images"]
        for image, paths in images.items():  # in its place: there may be a million
            images[image] = {path: Seen(*seen) for path, seen in paths.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return dict(images)


def _save(memory: Path, known: Mapping[str, Mapping[str, Seen]]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        draft = memory.with_suffix(f".{os.getpid()}.tmp")
        with draft.open("wb") as file:
            file.writelines(_lines(known))
        draft.replace(memory)
    except OSError as error:
        raise UserError(f"{memory} cannot be written ({error}): a changed image would not be seen") from error


def _lines(known: Mapping[str, Mapping[str, Seen]]) -> Iterator[bytes]:
    """The memory as JSON, image by image: as one text a million of them would take half a gigabyte."""
    before = b'{"images":{'
    for image, paths in known.items():
        seen = {path: [at.stat, at.sha256, at.version] for path, at in paths.items()}
        yield before + _compact(image) + b":" + _compact(seen)
        before = b",\n"
    yield (b"" if known else before) + b"}}"


def _compact(value: object) -> bytes:
    return _ENCODE(value).encode()


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
