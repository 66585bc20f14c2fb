"""Options of part-whole hierarchies."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from regionflow.base.options import Count, CountOrNone, Few, Name, NotNegative, Options, Refers, Seed, Side
from regionflow.features.options import TimmOptions
from regionflow.features.timm_weights import timm_width

ThreeLevels = Annotated[list[NotNegative], Field(min_length=3, max_length=3)]


class StudentOptions(Options):
    """The Agglomerator that learns the hierarchy; the defaults are the distilled Imagenette configuration."""

    size: Side = 224
    """Side in pixels of the square that an image is resized to."""
    levels: Annotated[int, Field(ge=2, le=8)] = 3
    """Levels of a column, from subpart to whole."""
    dim: Side = 256
    """Numbers per level."""
    patch_size: Few = 4
    """Side of a column in cells of the tokenizer's map, which has a fourth of the image's side."""
    iterations: Few | None = None
    """Updates of the columns; null: twice the levels."""
    start_weight: Annotated[float, Field(ge=-100, le=100)] = 0.25
    """What the four weights of an update start at. 0.25 as published is a slow start, for the weighted sum is divided
    by the number of its terms once more; 1 (a warm start) makes it the plain mean."""
    attend_self: bool = False
    """Whether a column attends to itself."""
    attention_radius: NotNegative = 0
    """Columns further away than this are not attended to; 0: none is too far."""
    encoder_dim: Side | None = None
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
    def width(self) -> int:
        """Numbers in what a student gives for an embedding."""
        return self.encoder_dim or self.dim

    def width_problem(self, width: int) -> str | None:
        """What to change, as "key: reason", where the teacher's embeddings have another width."""
        if self.width == width:
            return None
        key = "dim" if self.encoder_dim is None else "encoder_dim"
        return (
            f"student.{key}: must be {width}, the width of the teacher's embeddings, not {self.width}; or set "
            f"student.encoder_dim to {width} and choose student.dim freely"
        )

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


class TeacherOptions(Options):
    """What teaches the hierarchy: masks for every patch."""

    segmenter: Annotated[Name, Refers("segmenters")] = "sam_vit_h"
    """Name of the segmenter: of type sam, three masks per point; or of type merge_tree, three regions that hold it."""
    grid: Few = 14
    """Patches along each side; the student must have as many columns."""
    prompt_label: Literal["foreground", "as_published"] = "foreground"
    """Label of the point prompts. as_published: the running index of the point, which SAM does not know (a fault of the
    original, kept for comparison)."""
    levels: Literal["as_given", "by_area"] = "as_given"
    """Order of a point's masks: SAM's own (subpart, part, whole by convention), or by growing area. Those of a merge
    tree always grow."""
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Masks of a SAM that overlap more than this (mask IoU) count as one, the one with the best predicted IoU. 1: only
    identical ones do. Neighbouring points give masks that differ by a few pixels, so 0.9 halves what is embedded."""
    merge_levels: Literal["persistence"] | Annotated[list[NotNegative], Field(min_length=3, max_length=3)] = (
        "persistence"
    )
    """Which of the regions of a merge tree that hold a point are its levels. persistence: the three that stand out
    longest before they are merged further, each at least twice as large as the one before; three growing numbers: the
    largest region merged at no more than this distance (2, 4, 8 suits photos)."""

    keep_levels: Annotated[list[Annotated[int, Field(ge=0, le=2)]], Field(min_length=2)] = [0, 1, 2]
    """Which of the three levels the student learns, growing; [1, 2] are part and whole, for a student of two levels."""

    @field_validator("keep_levels")
    @classmethod
    def _growing_levels(cls, levels: list[int]) -> list[int]:
        if levels != sorted(set(levels)):
            raise ValueError("the levels must grow")
        return levels

    @field_validator("merge_levels")
    @classmethod
    def _growing(cls, levels: str | list[float]) -> str | list[float]:
        if isinstance(levels, list) and levels != sorted(set(levels)):
            raise ValueError("the three distances must grow")
        return levels


class EmbedderOptions(Options):
    """The timm model that embeds the image inside each mask."""

    model: Annotated[str, Field(min_length=1)] = "maxvit_rmlp_pico_rw_256.sw_in1k"
    """Name in timm, with the tag of the weights; its pooled features are the embedding."""
    checkpoint: str | None = None
    """Local weight file; null takes timm's own from its download cache."""
    random_seed: Seed | None = None
    """Random weights from this seed, to try a workflow without a download. Not with `checkpoint`."""
    crop: bool = False
    """Whether the image is cropped to the mask's box first."""
    view: Literal["whole", "as_published"] = "whole"
    """whole: the model sees the whole (cropped) image; as_published: timm's evaluation crop, which cuts the border
    of the image off (5 % of the side for the default model)."""
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Type that the model runs in."""

    def problems(self) -> Iterator[str]:
        """A model that timm does not know, or has no weights for, as "key: reason"."""
        yield from self._as_extractor().problems()

    def width(self) -> int | None:
        """Numbers in an embedding; None where that is seen only when the model is loaded."""
        return timm_width(self.model)

    def needs_network(self) -> Iterator[str]:
        """Timm's own weights, where they are not in its cache and cannot be fetched from here."""
        yield from self._as_extractor().needs_network()

    def _as_extractor(self) -> TimmOptions:
        return TimmOptions(model=self.model, checkpoint=self.checkpoint, random_seed=self.random_seed)

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> "EmbedderOptions":
        if self.checkpoint is not None and self.random_seed is not None:
            raise ValueError("give either checkpoint or random_seed, not both")
        return self


class TrainingOptions(Options):
    """How the student is trained on the teacher's embeddings; the defaults are the distilled Imagenette configuration,
    with a schedule that has the length of the training."""

    epochs: CountOrNone = 300
    """Passes over the training images. The original configures 4000, under a schedule of 2000 times 87 steps that does
    not depend on the data. 0 freezes `start`: it is kept as it is, and the probe and the islands are made with it."""
    batch_size: Count = 512
    """Images per step; all of them where there are fewer."""
    optimiser: Literal["lion", "adamw"] = "lion"
    """lion: Chen et al. 2023, betas 0.95 and 0.98; adamw: PyTorch's, as in the contrastive original."""
    rate: Annotated[float, Field(gt=0, le=10)] = 3e-4
    """Highest learning rate, of one cycle (Smith and Topin 2017) over the whole training."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.05
    """Decoupled, of all weights."""
    level_weights: list[NotNegative] = [0.1, 0.2, 0.7]
    """Weight of each level's error, from subpart to whole; not all 0."""
    targets: Literal["standardised", "as_published"] = "standardised"
    """standardised: the teacher's embeddings minus their mean over the training images, by their standard deviation, so
    that what all masks have in common is not what is learned; as_published: as they are."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is then what is kept; null: the last weights."""
    precision: Literal["exact", "bf16"] = "exact"
    """exact: float32; bf16: bfloat16 products (autocast) where the card has them, float32 elsewhere."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training images that is held out (seeded) for the validation loss."""
    seed: Seed = 0
    """Seed of the first weights, of the held-out images and of the order."""
    start: str | None = None
    """Checkpoint to fine-tune: a model.safetensors of an earlier run, kept elsewhere, or the original's .ckpt."""

    @field_validator("level_weights")
    @classmethod
    def _some_level_counts(cls, weights: list[float]) -> list[float]:
        if not any(weights):
            raise ValueError("all levels weigh 0, so that nothing would be learned")
        return weights

    @model_validator(mode="after")
    def _something_to_freeze(self) -> "TrainingOptions":
        if self.epochs == 0 and self.start is None:
            raise ValueError("epochs 0 keeps the checkpoint `start` as it is; give one, or train")
        return self


class ProbeOptions(Options):
    """A linear classifier of images over the frozen top level; an image's class is the folder that it lies in."""

    epochs: Count = 100
    """Passes over the training images."""
    batch_size: Count = 512
    """Images per step; all of them where there are fewer."""
    rate: Annotated[float, Field(gt=0, le=10)] = 3e-4
    """Highest learning rate of one cycle; Lion, as for the student."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.05
    """Decoupled, of all weights."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the numbers that are left out, before and after they are joined to one vector."""
    seed: Seed = 0
    """Seed of the first weights, the order and the dropout."""


TEACHERS = ("sam", "merge_tree")
"""The types of segmenter that can teach."""


class PartsOptions(Options):
    """Part-whole hierarchies, made by `snakemake --cores all parts`. Not part of a plain run."""

    teacher: TeacherOptions = TeacherOptions()
    """What teaches the hierarchy: masks for every patch."""
    embedder: EmbedderOptions = EmbedderOptions()
    """The timm model that embeds the image inside each mask."""
    student: StudentOptions = StudentOptions()
    """The Agglomerator that learns the hierarchy."""
    training: TrainingOptions = TrainingOptions()
    """How the student is trained."""
    probe: ProbeOptions = ProbeOptions()
    """A linear classifier over the frozen top level, where the images lie in folders of their classes."""

    @model_validator(mode="after")
    def _student_fits_teacher(self) -> "PartsOptions":
        columns, patches = self.student.grid, self.teacher.grid
        if columns != patches:
            raise ValueError(
                f"the student has {columns} x {columns} columns, the teacher {patches} x {patches} patches: "
                "student.size / 4 / student.patch_size must be teacher.grid"
            )
        kept = len(self.teacher.keep_levels)
        if not self.student.levels == len(self.training.level_weights) == kept:
            raise ValueError(
                f"teacher.keep_levels has {kept} levels; student.levels is {self.student.levels}, and "
                f"training.level_weights has {len(self.training.level_weights)} numbers"
            )
        return self
