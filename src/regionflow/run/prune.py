"""Files of images that have left the set: found by where files of single images lie, listed and removed.

`python -m regionflow.run.prune` takes the job of rule `prune` as JSON on its standard input.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from regionflow.images.find import find_set
from regionflow.images.options import ImagesOptions
from regionflow.images.versions import forget

Patterns = Sequence[tuple[str, str]]
"""Folder, and a regular expression of the paths of one kind of file; the group `image` is the id."""


def leftovers(patterns: Patterns, images: Iterable[str]) -> dict[Path, str]:
    """Files by path that are of images outside the set, with the image's id.

    A file that could also be one of the whole set (its pattern has no `image`) is none of them.
    """
    known = set(images)
    whole_set = [re.compile(pattern) for _, pattern in patterns if "(?P<image>" not in pattern]
    found: dict[Path, str] = {}
    for folder, pattern in patterns:
        if "(?P<image>" not in pattern or not folder:
            continue
        regex = re.compile(pattern)
        for path in sorted(Path(folder).rglob("*")):
            match = regex.fullmatch(path.as_posix())
            if match is None or match["image"] in known or path.is_dir():
                continue
            if not any(other.fullmatch(path.as_posix()) for other in whole_set):
                found[path] = match["image"]
    return found


def told_leftovers(patterns: Patterns, images: Iterable[str]) -> str:
    """One line about them for the end of a run, or nothing."""
    found = leftovers(patterns, images)
    if not found:
        return ""
    return (
        f"{len(found)} file(s) are of {len(set(found.values()))} image(s) that have left the set; "
        "`snakemake --cores 1 prune` lists and removes them, `snakemake prune -n` lists them"
    )


def prune(patterns: Patterns, images: Iterable[str]) -> dict[Path, str]:
    """Remove the files, and folders that are empty afterwards."""
    found = leftovers(patterns, images)
    for path in found:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == Path() or any(folder.iterdir()):
                break
            folder.rmdir()
    forget(set(found.values()))
    return found


def main() -> None:
    """Remove, and say what."""
    job = json.load(sys.stdin)
    images = find_set(ImagesOptions.model_validate(job["images"])).images
    found = prune([(folder, pattern) for folder, pattern in job["patterns"]], images)
    for path in found:
        print(path)
    print(f"regionflow: removed {len(found)} file(s) of {len(set(found.values()))} image(s) that have left the set")


if __name__ == "__main__":
    main()
