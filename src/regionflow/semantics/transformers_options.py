"""Options of the models of the transformers library."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from regionflow.base.files import sha256_of_text
from regionflow.base.options import Side
from regionflow.semantics.options import LabelerOptions, Text, missing
from regionflow.weights.fetched import WEIGHTS, Fetched, cannot_be_had
from regionflow.weights.files import file_sha256

SHARDED = tuple(f"{name}.index.json" for name in WEIGHTS)
FILES = (("config.json",), ("preprocessor_config.json", "processor_config.json"), (*WEIGHTS, *SHARDED))
"""What is needed of a model: of each one file."""

READ = (".json", ".safetensors", ".bin")
"""Suffixes of what the library reads in the folder of a model."""


class TransformersOptions(LabelerOptions):
    """A semantic or universal segmentation model of the transformers library (EoMT, Mask2Former, SegFormer ...)."""

    implementation: ClassVar[str] = "regionflow.semantics.transformers:TransformersLabeler"
    uses_card: ClassVar[bool] = True

    type: Literal["transformers"] = "transformers"
    """Kind of labeler."""
    model: Text
    """Name on the Hugging Face hub, or a folder with config.json, the weights and preprocessor_config.json."""
    dense_side: Side = 1024
    """Longer side of the map of scores; between its cells scores are interpolated."""

    def weights(self) -> Path | None:
        """The weight file in a folder; None for a name on the hub."""
        files = (Path(self.model) / name for name in WEIGHTS)
        return next((file for file in files if file.is_file()), None)

    def content_of(self, image: str | None) -> str | None:
        """Every file of the folder that the library may read: weights in several parts, sizes, colours, class names."""
        files = [path for path in sorted(Path(self.model).glob("*")) if path.suffix in READ and path.is_file()]
        return sha256_of_text("".join(f"{path.name} {file_sha256(path)}\n" for path in files)) if files else None

    def problems(self) -> Iterator[str]:
        """The library may be missing, or files in the folder; a path that is no folder is no name either."""
        yield from super().problems()
        yield from missing("transformers")
        folder = Path(self.model)
        if folder.is_dir():
            lacking = [names[0] for names in FILES if not any((folder / name).is_file() for name in names)]
            if lacking:
                yield f"model: the folder {self.model} has no {' and no '.join(lacking)}; put the model's files there"
        elif not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", self.model):
            yield f"model: {self.model} is no folder, and no name on the hub (owner/name) either"

    def needs_network(self) -> Iterator[str]:
        """The files of a name on the hub, where they are not in the download cache."""
        if not Path(self.model).is_dir():
            files = [Fetched(repo=self.model, names=names) for names in FILES]
            place = "put them into a folder, and name the folder under `model`"
            yield from cannot_be_had(files, "model", f"all of {self.model}", place)
