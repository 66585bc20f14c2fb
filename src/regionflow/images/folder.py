"""Walking a folder of images: what is in it, what is left out and why. Our own outputs are never images."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from regionflow.formats.images import ImageRow
from regionflow.images.errors import ImageListError
from regionflow.images.names import shown

_TABLE_HEADER = "\t".join(field.name for field in fields(ImageRow)).encode() + b"\n"
_OLD_HEADER = b"id\tpath\tsplit\t"
_MEMORY = Path(".snakemake/regionflow_images.json")


@dataclass
class Walk:
    """Image files of a folder with their ids; what else was met on the way.

    problems: folders that cannot be listed, with the reason. own_outputs: folders of ours, and links to what lies in
    them, that were left out.
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
    own = _Own(outputs)
    if above := own.around(folder.resolve()):
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
    own: "_Own",
    seen: set[Path],
    found: Walk,
) -> None:
    real = folder.resolve()
    # With links followed, a link to a parent folder would be walked for ever.
    if real in seen:
        return
    seen.add(real)
    # A link may lead to a part of somebody's results; of other folders all above have been looked at.
    if own.around(real) if folder.is_symlink() else own.holds(real):
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
        if suffix.lower() not in suffixes:
            found.suffixes[suffix.lower()] += 1
        elif entry.is_symlink() and own.around(Path(os.path.realpath(entry.path)).parent):
            found.own_outputs.append(folder / entry.name)
        else:
            found.images.append((prefix + stem, folder / entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in circles
        return False


class _Own:
    """The folders into which runs of ours write; what is known of a folder is kept, as many links lead to the same."""

    def __init__(self, outputs: Iterable[Path]) -> None:
        self._known = {path.resolve(): True for path in outputs}

    def holds(self, folder: Path) -> bool:
        """Whether a folder, by its real path, is one of these."""
        if folder not in self._known:
            self._known[folder] = _holds_outputs(folder)
        return self._known[folder]

    def around(self, folder: Path) -> Path | None:
        """The folder of these that a folder, by its real path, is or lies in."""
        return next((above for above in (folder, *folder.parents) if self.holds(above)), None)


def _holds_outputs(folder: Path) -> bool:
    """Whether a folder is the results/ of some run: by our tables, or before these by our memory beside it."""
    try:
        if folder.name == "results" and (folder.parent / _MEMORY).is_file():
            return True
        with (folder / "images.tsv").open("rb") as file:
            start = file.read(len(_TABLE_HEADER))
        return start == _TABLE_HEADER or (start.startswith(_OLD_HEADER) and (folder / "problems.tsv").is_file())
    except OSError:
        return False


def told_suffixes(suffixes: Counter[str]) -> Iterator[str]:
    """`.heic 7` and so on, most frequent first."""
    for suffix, count in sorted(suffixes.items(), key=lambda item: (-item[1], item[0])):
        yield f"{shown(suffix) or 'without suffix'} {count}"
