"""Loaded models, kept from job to job."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from regionflow.base.errors import UserError
from regionflow.weights.download import DownloadError

T = TypeVar("T")
FETCHES = 2
"""Times that a run tries to fetch the weights of a model, over all its jobs."""


class ModelCache:
    """Loaded models, least recently used dropped first, so that a resident process loads each once."""

    def __init__(self, limit: int = 2) -> None:
        self.limit = limit
        self.loads = 0
        self.load_seconds = 0.0
        self._models: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """The model of this key, from `load()` the first time. The key must name everything that `load` depends on."""
        if key in self._models:
            self._models.move_to_end(key)
        else:
            while len(self._models) >= self.limit:
                self._models.popitem(last=False)
            begin = time.monotonic()
            self._models[key] = _fetched(key, load)
            self.loads += 1
            self.load_seconds += time.monotonic() - begin
        return self._models[key]


def _fetched(key: Hashable, load: Callable[[], T]) -> T:
    """The loaded model, unless its weights could not be fetched FETCHES times in this run.

    Without that every image would wait for the same download to fail. A process that belongs to no run keeps no count.
    """
    run = os.environ.get("REGIONFLOW_RUN_DIR")
    if run is None:
        return load()
    notes = Path(run) / f"not-fetched-{blake2b(repr(key).encode(), digest_size=16).hexdigest()}"
    told = notes.read_text(encoding="utf-8").splitlines() if notes.is_file() else []
    if len(told) >= FETCHES:
        raise UserError(f"{told[0]}\n(Not fetched again in this run, after {FETCHES} times.)")
    try:
        return load()
    except DownloadError as error:
        with notes.open("a", encoding="utf-8") as file:
            file.write(" ".join(str(error).split()) + "\n")
        raise
