"""Options of part-whole hierarchies."""

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from regionflow.base.options import Options


class StudentOptions(Options):
    """The Agglomerator that learns the hierarchy; the defaults are the distilled Imagenette configuration."""

    size: PositiveInt = 224
    """Side in pixels of the square that an image is resized to."""
    levels: Annotated[int, Field(ge=2, le=8)] = 3
    """Levels of a column, from subpart to whole."""
    dim: PositiveInt = 256
    """Numbers per level."""
    patch_size: PositiveInt = 4
    """Side of a column in cells of the tokenizer's map, which has a fourth of the image's side."""
    iterations: PositiveInt | None = None
    """Updates of the columns; null: twice the levels."""
    start_weight: float = 0.25
    """What the four weights of an update start at. 0.25 as published is a slow start, for the weighted sum is divided
    by the number of its terms once more; 1 (a warm start) makes it the plain mean."""
    attend_self: bool = False
    """Whether a column attends to itself."""
    attention_radius: Annotated[float, Field(ge=0)] = 0
    """Columns further away than this are not attended to; 0: none is too far."""
    encoder_dim: PositiveInt | None = None
    """Width of a network between levels and embeddings (the published figure shows one of 256); null: the levels
    themselves are the embeddings, and `dim` must be the width of the teacher's."""

    @property
    def map_side(self) -> int:
        """Side of the tokenizer's map."""
        return (self.size + 3) // 4

    @property
    def grid(self) -> int:
        """Columns along each side."""
        return self.map_side // self.patch_size

    @property
    def token_channels(self) -> int:
        """Channels of the tokenizer's map, of which a column's block makes `dim` numbers."""
        return self.dim // self.patch_size**2

    @model_validator(mode="after")
    def _columns_fit(self) -> "StudentOptions":
        if self.map_side % self.patch_size:
            raise ValueError(
                f"patch_size {self.patch_size} does not divide the side of the tokenizer's map, {self.map_side} cells "
                f"(size {self.size} / 4)"
            )
        if self.dim % self.patch_size**2 or self.token_channels < 2:
            raise ValueError(
                f"dim {self.dim} must be a multiple of patch_size ** 2 = {self.patch_size**2} and at least twice that: "
                "a column is a block of the tokenizer's map, which has dim / patch_size ** 2 channels"
            )
        return self
