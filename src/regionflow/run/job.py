"""What a stage is given: the files, options and machine of one job, whoever starts it."""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ModelCache:
    """Loaded models, least recently used dropped first, so that a resident process loads each once."""

    def __init__(self, limit: int = 2) -> None:
        self.limit = limit
        self.loads = 0
        self._models: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """The model of this key, from `load()` the first time. The key must name everything that `load` depends on."""
        if key in self._models:
            self._models.move_to_end(key)
        else:
            while len(self._models) >= self.limit:
                self._models.popitem(last=False)
            self._models[key] = load()
            self.loads += 1
        return self._models[key]


@dataclass(frozen=True)
class Job:
    """One run of one stage.

    `outputs` are temporary names beside the final ones; whoever started the job renames them when the stage has
    returned, so a stage that fails or is killed leaves nothing under a final name. `options` change the outputs,
    `runtime` (batch sizes and the like) does not. `names` are the wildcards: image, segmenter, extractor and so on.
    """

    stage: str
    inputs: dict[str, Path | list[Path]]
    outputs: dict[str, Path]
    options: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    models: ModelCache = field(default_factory=ModelCache, compare=False)

    def input(self, name: str) -> Path:
        """The one input file of that name."""
        path = self.inputs[name]
        if isinstance(path, list):
            raise TypeError(f"stage {self.stage}: input {name!r} is a list of {len(path)} files, not one")
        return path

    def input_list(self, name: str) -> list[Path]:
        """All input files of that name."""
        paths = self.inputs.get(name, [])
        return paths if isinstance(paths, list) else [paths]

    @classmethod
    def from_json(cls, text: str, **fields: Any) -> "Job":
        """Read {stage, inputs, outputs, options, names, runtime, threads}; `fields` are set by whoever runs it."""
        spec = json.loads(text)
        inputs = {
            name: [Path(p) for p in value] if isinstance(value, list) else Path(value)
            for name, value in spec.pop("inputs").items()
        }
        outputs = {name: Path(value) for name, value in spec.pop("outputs").items()}
        return cls(inputs=inputs, outputs=outputs, **{**spec, **fields})
