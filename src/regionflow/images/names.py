"""Which names can be ids of images: an id names files in results/ and is a wildcard of Snakemake."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_NAME_BYTES = 200
REPEATED = re.compile(r"(.+?)\1{19,}$")
WINDOWS_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
REMEDY = "rename one, narrow images.suffixes to one kind, or give each its own id in a table (images.table)"


def why_not_an_id(image: str) -> str:
    """Why a text cannot be an image's id; empty if it can."""
    return next(_objections(image, image.split("/")), "")


def _objections(image: str, parts: list[str]) -> Iterator[str]:
    if any(part in ("", ".", "..") for part in parts):
        yield "an id is a relative path without empty parts, '.' or '..'"
    elif not is_utf8(image):
        yield "its name is not UTF-8; rename it"
    elif re.search(r"[\x00-\x1f\x7f{}<>\\]", image):
        yield "control characters, { } < > and backslashes are not allowed in names; rename it"
    elif any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        yield f"a name is longer than {MAX_NAME_BYTES} bytes; rename it"
    elif any(WINDOWS_RESERVED.match(part.split(".")[0]) or part[-1] in ". " for part in parts):
        yield "the name is reserved on Windows, or ends in a dot or space; rename it"
    elif REPEATED.search(image):
        yield "it ends in the same characters 20 times over, which Snakemake takes for an endless loop; rename it"


def is_utf8(text: str) -> bool:
    """Whether a name is valid UTF-8: Python gives what is not as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str | Path) -> str:
    """A path for people and for UTF-8 files: bytes that are not UTF-8 and control characters as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def collisions(pairs: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """Ids that are the same, also where they differ only in case or Unicode form, which some file systems ignore."""
    same: dict[str, list[Path]] = defaultdict(list)
    for image, path in pairs:
        same[unicodedata.normalize("NFC", image).casefold()].append(path)
    for paths in same.values():
        if len(paths) > 1:
            yield "these have the same id: " + ", ".join(repr(shown(p)) for p in sorted(paths)) + "; " + REMEDY
