"""Files that say whose they are and carry a checksum of their content, so that what is read is what was written.

A JSON file is one line that begins with `"sha256"`: the hash of the rest, as text. Byte for byte: it is compared before
anything is parsed. Some are gzip files of such a line. HDF5 files are in `regionflow.formats.hdf5`, label maps in
`regionflow.formats.labels`.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile
from regionflow.base.files import whole
from regionflow.base.options import canonical_json
from regionflow.base.reads import note_bytes

NO_CHECKSUM = "it has no checksum: an older version made it, or another program has changed it"
_HEAD = re.compile(rb'\{"sha256":"([0-9a-f]{64})",')


_GZIP = b"\x1f\x8b"


def write_checked_json(path: Path, content: Mapping[str, Any], compressed: bool = False) -> str:
    """Write an object as one line of JSON, perhaps as a gzip file, with its checksum, which is returned."""
    text = canonical_json(dict(content))
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    line = f'{{"sha256":"{digest}",{text[1:]}\n'.encode()
    with whole(path) as part:
        part.write_bytes(gzip.compress(line, mtime=0) if compressed else line)
    return digest


def read_checked_json(path: Path, what: str) -> tuple[dict[str, Any], str]:
    """The object of such a file and its checksum; `what` is a noun with its article.

    Raises BadFile, naming the file, if it cannot be read or is not exactly what was written.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile.not_read(path, error) from None
    note_bytes(path, data)
    try:
        data = gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile.damaged(path, what, error) from None
    head = _HEAD.match(data)
    if head is None:
        raise BadFile.damaged(path, what, NO_CHECKSUM)
    rest = b"{" + data[head.end() :].removesuffix(b"\n")
    if not data.endswith(b"}\n") or hashlib.sha256(rest).hexdigest().encode() != head[1]:
        raise BadFile.damaged(path, what, "its content does not have its checksum")
    try:
        return json.loads(rest), head[1].decode()
    except (ValueError, RecursionError) as error:  # possible only in a file that someone has signed by hand
        raise BadFile.damaged(path, what, error) from error


def check_owner(path: Path, image_id: str, expected: str | None) -> None:
    """Raises BadFile, naming the file, if it is of another image than expected; None expects any."""
    if expected is not None and image_id != expected:
        raise BadFile.to_be_remade(f"{path}: it is of image {image_id!r}, not of {expected!r}")
