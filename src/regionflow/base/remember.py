"""Small facts that are slow to find and remembered between runs, in .snakemake/regionflow.json of the run's folder.

Only a memory: where it cannot be read or written, the fact is found again.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    try:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        draft = FILE.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(known), encoding="utf-8")
        draft.replace(FILE)
    except OSError:
        pass
