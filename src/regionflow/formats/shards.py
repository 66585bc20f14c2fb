"""results/shards/{phase}/{shard}.json: what an inner run has left behind, for the outer run to trust or to check."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile
from regionflow.base.files import write_json

WHOLE_SET = "set"
"""In place of a shard's name: the summary of a phase of the whole set."""


@dataclass(frozen=True)
class Made:
    """The files of one pattern: how many, a hash of names, sizes and times of change, and the one changed last."""

    files: int
    digest: str
    newest: str
    modified: int


@dataclass(frozen=True)
class Summary:
    """Of one phase and shard: its number of images, the seconds that it took, and what there is of each pattern."""

    images: int
    seconds: float
    made: dict[str, Made]


def paths_of(pattern: str, images: Mapping[str, str]) -> Iterator[str]:
    """The files of a pattern.

    Args:
        pattern: a path with {image}, and perhaps with {suffix}, in it; without {image} it is one file.
        images: by id, the suffix of each one's own file, dot included.
    """
    if "{image}" not in pattern:
        yield pattern
    elif "{suffix}" not in pattern:
        yield from (pattern.replace("{image}", image) for image in images)
    else:
        yield from (pattern.replace("{image}", image).replace("{suffix}", suffix) for image, suffix in images.items())


def state(pattern: str, images: Mapping[str, str]) -> tuple[Made, list[str]]:
    """What there is of a pattern for these images (see `paths_of`), and the files that are missing."""
    return state_of(paths_of(pattern, images))


def state_of(paths: Iterable[str]) -> tuple[Made, list[str]]:
    """What there is of these files, and which are missing."""
    digest, missing, count, newest, modified = hashlib.blake2b(digest_size=16), [], 0, "", -1
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 (of every file of the set where all are checked)
        except OSError:
            missing.append(path)
            continue
        count += 1
        digest.update(b"%b\0%d\0%d\n" % (os.fsencode(path), stat.st_size, stat.st_mtime_ns))
        if stat.st_mtime_ns > modified:
            newest, modified = path, stat.st_mtime_ns
    return Made(count, digest.hexdigest(), newest, modified), missing


def summarize(patterns: Iterable[str], images: Mapping[str, str], seconds: float) -> tuple[Summary, list[str]]:
    """The summary of the files of these patterns and images, and which are missing."""
    made, missing = {}, []
    for pattern in patterns:
        made[pattern], lacking = state(pattern, images)
        missing += lacking
    return Summary(len(images), round(seconds, 3), made), missing


def is_as_summarized(summary: Summary, images: Mapping[str, str]) -> bool:
    """Whether every file is there as it was, by size and time of change."""
    return all(made == state(pattern, images)[0] for pattern, made in summary.made.items())


def newest(summaries: Iterable[Summary]) -> dict[str, str]:
    """The file of every pattern that was changed last, in any of the shards."""
    last: dict[str, tuple[int, str]] = {}
    for summary in summaries:
        for pattern, made in summary.made.items():
            last[pattern] = max(last.get(pattern, (-1, "")), (made.modified, made.newest))
    return {pattern: path for pattern, (_, path) in last.items()}


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary."""
    write_json(path, asdict(summary))


def read_summary(path: Path) -> Summary:
    """Read a summary. Raises BadFile for one that is missing, damaged or cannot be read."""
    try:
        fields: Mapping[str, Any] = json.loads(path.read_bytes())
        made = {pattern: Made(**fields["made"][pattern]) for pattern in fields["made"]}
        return Summary(int(fields["images"]), float(fields["seconds"]), made)
    except OSError as error:
        raise BadFile.not_read(path, error) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFile.damaged(path, "a summary of a shard", error) from error
