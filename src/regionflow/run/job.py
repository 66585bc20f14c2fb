"""What a stage is given: the files, options and machine of one job, whoever starts it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regionflow.base.options import canonical_json
from regionflow.run.models import ModelCache


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

    @staticmethod
    def to_json(  # what `from_json` reads, for whoever starts a job
        stage: str,
        *,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        options: Mapping[str, Any],
        names: Mapping[str, str],
        runtime: Mapping[str, Any],
        threads: int = 1,
    ) -> str:
        """The job as one line of JSON; paths may be str, Path or lists of either."""
        return canonical_json(
            {
                "stage": stage,
                "inputs": {name: _plain(value) for name, value in inputs.items()},
                "outputs": {name: str(value) for name, value in outputs.items()},
                "options": dict(options),
                "names": dict(names),
                "runtime": dict(runtime),
                "threads": threads,
            }
        )

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


def _plain(value: Any) -> str | list[str]:
    return str(value) if isinstance(value, str | Path) else [str(path) for path in value]
