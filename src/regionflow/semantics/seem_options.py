"""Options of SEEM."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from regionflow.base.options import Seed, Side
from regionflow.semantics.options import ClassNames, LabelerOptions, Text, check_distinct, missing
from regionflow.semantics.shipped import coco_panoptic


class SeemOptions(LabelerOptions):
    """SEEM with a focal backbone: a semantic map, and a stroke prompt per region."""

    implementation: ClassVar[str] = "regionflow.semantics.seem:build"
    uses_card: ClassVar[bool] = True

    type: Literal["seem"] = "seem"
    """Kind of labeler."""
    checkpoint: Text | None = None
    """seem_focall_v0.pt (what the stroke prompts of the demo were made for) or seem_focall_v1.pt."""
    classes: ClassNames | None = None
    """Class names; null takes COCO panoptic's 133. Needs no training: SEEM's vocabulary is open."""
    short_side: Side | None = 512
    """The image is resized (bicubic) to this shorter side, as in SEEM's demo; null keeps its size."""
    as_published: bool = False
    """The choices of the SAM + SEEM pipeline (fremk): no resizing, points drawn anew for every level, a stroke decides
    by its likeliest class and a pixel by its largest score, regions without the smaller ones on them. Random points
    are seeded here."""
    seed: Seed = 0
    """Of the points that are drawn where a region has more than 512."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """fp16: autocast, as the original runs on a card."""
    random_seed: Seed | None = None
    """Random weights from this seed, to try a workflow without a download. Not with `checkpoint`."""

    def weights(self) -> Path | None:
        """The checkpoint."""
        return None if self.checkpoint is None else Path(self.checkpoint)

    def known_names(self) -> list[str] | None:
        """The classes, or COCO panoptic's."""
        return self.classes or coco_panoptic()

    def problems(self) -> Iterator[str]:
        """The library of the tokens may be missing."""
        yield from super().problems()
        yield from missing("open_clip")

    @model_validator(mode="before")
    @classmethod
    def _published(cls, given: Any) -> Any:
        """What `as_published` stands for, where it is not said otherwise."""
        if isinstance(given, dict) and given.get("as_published"):
            return {"short_side": None, "visible": True, "merge": "labels", **given}
        return given

    @model_validator(mode="after")
    def _weights_from_somewhere(self) -> "SeemOptions":
        check_distinct(self.classes or [])
        if (self.checkpoint is None) == (self.random_seed is None):
            raise ValueError("give either checkpoint, the path of seem_focall_v0.pt, or random_seed")
        return self
