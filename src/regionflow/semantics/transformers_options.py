"""Options of the models of the transformers library."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from regionflow.semantics.options import LabelerOptions, Text, missing


class TransformersOptions(LabelerOptions):
    """A semantic or universal segmentation model of the transformers library (EoMT, Mask2Former, SegFormer ...)."""

    implementation: ClassVar[str] = "regionflow.semantics.transformers:TransformersLabeler"
    uses_card: ClassVar[bool] = True

    type: Literal["transformers"] = "transformers"
    """Kind of labeler."""
    model: Text
    """Name on the Hugging Face hub, or a folder with config.json, the weights and preprocessor_config.json."""
    dense_side: PositiveInt = 1024
    """Longer side of the map of scores; between its cells scores are interpolated."""

    def weights(self) -> Path | None:
        """The weight file in a folder; None for a name on the hub."""
        files = (Path(self.model) / name for name in ("model.safetensors", "pytorch_model.bin"))
        return next((file for file in files if file.is_file()), None)

    def problems(self) -> Iterator[str]:
        """The library may be missing."""
        yield from super().problems()
        yield from missing("transformers")
