"""Shards of a large set: how many, which images belong together, and when a shard's files are stale.

The outer run has one job per shard and phase (regionflow.run.phases); the job is an inner run of the per-image rules
for the shard's images (regionflow.run.inner).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from regionflow.base.errors import BadFile
from regionflow.formats.shards import is_as_summarized, read_summary

LARGE_SET = 5000
"""Above so many images a run is divided without being told to."""
USUAL_SIZE = 1000


def shard_size(wanted: int | None, images: int, cluster: bool = False) -> int:
    """Images in a shard for runtime.shard_images as it was given (None: not at all); 0: no shards.

    cluster: whether jobs are allocations, of which one for every image would be far too many.
    """
    if wanted is None:
        return USUAL_SIZE if cluster or images > LARGE_SET else 0
    return wanted


@dataclass(frozen=True)
class Shard:
    """The ids of its images in order, and the versions of the files that they name."""

    images: list[str]
    versions: list[str]

    @cached_property
    def digest(self) -> str:
        """What Snakemake records: a hash of ids and versions. Where a file lies makes nothing stale."""
        digest = hashlib.sha256()
        for image, version in zip(self.images, self.versions, strict=True):
            digest.update(f"{image}\0{version}\n".encode())
        return digest.hexdigest()[:16]


def number_of_shards(images: int, size: int) -> int:
    """A power of two, so that shards have at most about `size` images and a new image seldom moves others."""
    return 1 << max(0, (-(-images // size) - 1).bit_length())


def divide(versions: Mapping[str, str], size: int) -> dict[str, Shard]:
    """Shards by name, from the version of each image by id: by hash of the id, so that a new image changes one."""
    mask = number_of_shards(len(versions), size) - 1
    width = len(f"{mask:x}")
    parts: dict[str, Shard] = {}
    for image, version in versions.items():
        shard = parts.setdefault(f"{_number(image) & mask:0{width}x}", Shard([], []))
        shard.images.append(image)
        shard.versions.append(version)
    return {name: parts[name] for name in sorted(parts)}


def _number(image: str) -> int:
    return int.from_bytes(hashlib.blake2b(image.encode(), digest_size=4).digest(), "big")


def told(shards: Iterable[Shard], size: int, wanted: bool) -> str:
    """One line for the log."""
    sizes = [len(shard.images) for shard in shards]
    why = "" if wanted else " (by itself; runtime.shard_images sets another size, 0 none)"
    return f"{sum(sizes)} images in {len(sizes)} shard(s) of about {min(size, max(sizes))}{why}"


def stale(summaries: Mapping[str, Callable[[], Mapping[str, str]]], threads: int = 4) -> list[str]:
    """The summaries, of these with what gives their images, that are there and no longer say what is there."""
    with ThreadPoolExecutor(threads) as pool:
        verdicts = pool.map(_is_stale, summaries, summaries.values())
        return [path for path, verdict in zip(summaries, verdicts, strict=True) if verdict]


def _is_stale(path: str, images: Callable[[], Mapping[str, str]]) -> bool:
    try:
        return Path(path).is_file() and not is_as_summarized(read_summary(Path(path)), images())
    except BadFile:
        return Path(path).is_file()
