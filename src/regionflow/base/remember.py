"""A small on-disk cache keyed by a name and a stamp, in .snakemake/regionflow.json of the run's folder.

Where it cannot be read or written, the value is computed again.
"""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regionflow.base.errors import UserError
from regionflow.base.files import write_json

FILE = Path(".snakemake/regionflow.json")


def remembered(key: str, stamp: Any, find: Callable[[], Any]) -> Any:
    """What `find()` gave when it was last called for the key with the same stamp (any JSON value), or now."""
    known = _load()
    entry = known.get(key)
    if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
        return entry[1]
    value = find()
    _save({**known, key: [stamp, value]})
    return value


def _load() -> dict[str, Any]:
    try:
        known = json.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save(known: dict[str, Any]) -> None:
    # The name while it is written is this process's own: two runs in one folder may write at the same time.
    draft = FILE.with_suffix(f".{os.getpid()}.json")
    with contextlib.suppress(OSError, UserError):
        _clear_drafts()
        write_json(draft, known)
        draft.replace(FILE)


def _clear_drafts() -> None:
    """Remove what processes left that were killed while they were writing."""
    for path in FILE.parent.glob(f"{FILE.stem}.*.json*"):
        process = path.name.split(".")[1]
        if process.isdigit() and not _is_there(int(process)):
            path.unlink(missing_ok=True)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
