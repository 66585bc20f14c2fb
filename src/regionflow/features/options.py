"""Options of the feature extractors; `type` says which kind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from regionflow.base.options import Kind, Seed, Side
from regionflow.features.timm_weights import cannot_be_had, timm_model
from regionflow.formats.features import StoredDtype
from regionflow.sam.options import SamWeights

Dtype = Literal["fp32", "bf16", "fp16"]


class ExtractorKind(Kind):
    """What all extractors have."""

    stored: StoredDtype = "float16"
    """Type of the values in feature files. float32 takes twice the room; features beyond 65504 need it."""


class DaisyLabOptions(ExtractorKind):
    """Gradients and colour: needs no weights, and is a baseline beside learned features.

    Dense DAISY descriptors (skimage.feature.daisy, Tola et al. 2010) of the lightness, computed at half resolution with
    a radius of 15 pixels of it, and the mean CIELAB colour, one vector of 107 numbers per cell of 8 x 8 pixels.
    """

    implementation: ClassVar[str] = "regionflow.features.daisy_lab:DaisyLab"

    type: Literal["daisy_lab"] = "daisy_lab"
    """Kind of extractor."""


class TimmOptions(ExtractorKind):
    """Feature maps of a timm model: any that has `forward_intermediates`."""

    implementation: ClassVar[str] = "regionflow.features.timm_model:TimmExtractor"
    uses_card: ClassVar[bool] = True

    type: Literal["timm"] = "timm"
    """Kind of extractor."""
    model: Annotated[str, Field(min_length=1)]
    """Name in timm, with the tag of the weights: vit_large_patch14_dinov2.lvd142m."""
    layers: Annotated[list[Annotated[int, Field(ge=-1000, le=1000)]], Field(min_length=1)] = [-1]
    """Blocks (or stages of a convolutional network) from 0, or from the end if negative; several are concatenated in
    this order."""
    norm: bool = True
    """Whether the model's final norm is applied, to every layer."""
    value_path: bool = False
    """MaskCLIP: the last block's values in place of its attention, projected into the space of the text embeddings.
    For CLIP models, with the default `layers`."""
    geometry: Literal["pad", "resize_long", "resize_short", "square"] = "pad"
    """pad: native size, padded in black to a multiple of the patch; resize_long, resize_short: that side scaled to
    `size`, then padded; square: the long side scaled to `size`, the image in the top left corner of a square."""
    size: Side | None = None
    """Pixels of the resized side; null takes what the model was trained at. Must be null with pad."""
    multiple: Side | None = None
    """What the sides of the model input are multiples of; null takes the patch size (or the stride)."""
    position_embedding: Literal["timm", "released"] = "timm"
    """How position embeddings get to another grid than the training's. timm: bicubic, anti-aliased; released: as the
    code released with the weights of DINO and DINOv2, for those only; the variants dino_* and dinov2_* have it."""
    dtype: Dtype = "fp32"
    """Type that the whole model runs in."""
    checkpoint: str | None = None
    """Local weight file (.pth, .pt or .safetensors, in timm's or the original's keys); null takes timm's own from its
    download cache."""
    random_seed: Seed | None = None
    """Random weights from this seed, to try a workflow without a download. Not with `checkpoint`."""

    def weights(self) -> Path | None:
        """The local weight file; timm looks after its own."""
        return None if self.checkpoint is None else Path(self.checkpoint)

    def needs_network(self) -> Iterator[str]:
        """Timm's own weights, where they are not in its cache."""
        if self.checkpoint is None and self.random_seed is None:
            yield from cannot_be_had(self.model)

    def problems(self) -> Iterator[str]:
        """A model that timm does not know, or has no weights for."""
        problem = timm_model(self.model)["problem"]
        if problem:
            yield f"model: {problem}"
        elif self.checkpoint is None and self.random_seed is None and timm_model(self.model)["weights"] is None:
            yield f"model: timm has no weights for {self.model}; name a local file under `checkpoint`"

    @model_validator(mode="after")
    def _consistent(self) -> "TimmOptions":
        if self.checkpoint is not None and self.random_seed is not None:
            raise ValueError("give either checkpoint or random_seed, not both")
        if self.geometry == "pad" and self.size is not None:
            raise ValueError("geometry pad does not resize: leave size out, or choose another geometry")
        if self.value_path and (self.layers != [-1] or not self.norm):
            raise ValueError("value_path is about the last block, normed: leave layers and norm out")
        if self.position_embedding == "released" and not _has_released_rule(self.model):
            raise ValueError(
                f"position_embedding released is known for the weights of DINO and DINOv2, not for {self.model}: "
                "leave it out, or write timm"
            )
        return self


class SamEncoderOptions(ExtractorKind, SamWeights):
    """The image embedding of a SAM, MobileSAM or HQ-SAM [256, 64, 64], with SAM's own resizing and normalisation."""

    implementation: ClassVar[str] = "regionflow.features.sam_encoder:SamEncoder"
    uses_card: ClassVar[bool] = True

    type: Literal["sam_encoder"] = "sam_encoder"
    """Kind of extractor."""
    dtype: Dtype = "fp32"
    """Type that the whole encoder runs in."""


def _has_released_rule(name: str) -> bool:
    """Whether weights of that timm name are DINO's or DINOv2's, of which features.positions knows the rule."""
    architecture, _, tag = name.partition(".")
    return tag == "dino" or (architecture.startswith("vit_") and architecture.endswith("_dinov2"))
