"""Loaded models, kept from job to job."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


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
            self._models[key] = load()
            self.loads += 1
            self.load_seconds += time.monotonic() - begin
        return self._models[key]
