"""Walking a folder of images: what is in it, what is left out and why. Our own outputs are never images."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regionflow.images.errors import ImageListError
from regionflow.images.names import shown

_TABLE_HEADER = b"id\tpath\tsplit\t"


@dataclass
class Walk:
    """Image files of a folder with their ids; what else was met on the way.

    problems: folders that cannot be listed, with the reason. own_outputs: folders of ours that were left out.
    suffixes: how many other files there are, by suffix ("" for none).
    """

    images: list[tuple[str, Path]] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    own_outputs: list[Path] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)


def walk(folder: Path, suffixes: Sequence[str], follow_links: bool, outputs: Iterable[Path] = ()) -> Walk:
    """Search a folder with its sub-folders; hidden files and folders are skipped.

    `outputs` are the folders into which this run writes. Raises ImageListError where the folder is none, or lies in
    outputs of a run.
    """
    if not folder.is_dir():
        raise ImageListError(f"images.dir: {shown(folder)} is not a folder")
    own = {path.resolve() for path in outputs}
    for above in (folder.resolve(), *folder.resolve().parents):
        if above in own or _holds_outputs(above):
            raise ImageListError(
                f"images.dir: {shown(folder)} lies in {shown(above)}, which holds outputs of regionflow, not images"
            )
    found = Walk()
    _search(folder, folder, tuple(s.lower() for s in suffixes), follow_links, own, set(), found)
    found.images.sort()
    return found


def _search(  # noqa: PLR0917
    root: Path,
    folder: Path,
    suffixes: tuple[str, ...],
    follow_links: bool,
    own: set[Path],
    seen: set[Path],
    found: Walk,
) -> None:
    real = folder.resolve()
    # With links followed, a link to a parent folder would be walked for ever.
    if real in seen:
        return
    seen.add(real)
    if real in own or (folder != root and _holds_outputs(folder)):
        found.own_outputs.append(folder)
        return
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.problems.append((folder, f"the folder cannot be listed: {error.strerror or error}"))
        return
    prefix = "" if folder == root else folder.relative_to(root).as_posix() + "/"
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            if follow_links or not entry.is_symlink():
                _search(root, folder / entry.name, suffixes, follow_links, own, seen, found)
            continue
        stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 (once for every file of the set)
        if suffix.lower() in suffixes:
            found.images.append((prefix + stem, folder / entry.name))
        else:
            found.suffixes[suffix.lower()] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in circles
        return False


def _holds_outputs(folder: Path) -> bool:
    """Whether a folder is the results/ of some run: it has our two tables."""
    try:
        if not (folder / "problems.tsv").is_file():
            return False
        with (folder / "images.tsv").open("rb") as file:
            return file.read(len(_TABLE_HEADER)) == _TABLE_HEADER
    except OSError:
        return False


def told_suffixes(suffixes: Counter[str]) -> Iterator[str]:
    """`.heic 7` and so on, most frequent first."""
    for suffix, count in sorted(suffixes.items(), key=lambda item: (-item[1], item[0])):
        yield f"{shown(suffix) or 'without suffix'} {count}"
