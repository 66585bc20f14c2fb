"""Options of the open vocabulary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from regionflow.base.options import Positive, Seed
from regionflow.semantics import open_clip_weights
from regionflow.semantics.options import ClassNames, ExtractorName, LabelerOptions, Text, check_distinct, missing


class WordsOptions(LabelerOptions):
    """Open vocabulary: class names in words, by any model of open_clip (CLIP, SigLIP ...)."""

    implementation: ClassVar[str] = "regionflow.semantics.words:WordsLabeler"
    uses_card: ClassVar[bool] = True

    type: Literal["words"] = "words"
    """Kind of labeler."""
    classes: ClassNames
    """Class names; synonyms after a bar: "sofa|couch". The first is the class's name."""
    model: Text = "ViT-B-16-quickgelu"
    """Name in open_clip."""
    pretrained: Text | None = "openai"
    """open_clip's tag of the weights, from its download cache; not used with `checkpoint` or `random_seed`."""
    checkpoint: Text | None = None
    """Local weight file."""
    random_seed: Seed | None = None
    """Random weights from this seed, to try a workflow without a download."""
    regions: Literal["pooled", "box", "masked", "both", "attention"] = "pooled"
    """What of a region is compared with the words: pooled features of `extractor`; a crop of its box, a crop with
    everything else blanked out, or the mean of both crops; or what the model's last attention gives when it looks at
    that region of the whole image (CLIP's ViTs and SigLIP)."""
    keys: Literal["mean", "own"] = "mean"
    """With `attention`: mean weighs patches by the region's soft mask alone, as TextRegion does; own by the model's
    attention, too."""
    extractor: ExtractorName | None = None
    """With `pooled`: an extractor whose features lie in the model's text space, such as maskclip_vitb16."""
    templates: Annotated[list[Text], Field(min_length=1)] | None = None
    """Sentences with {} for the class name; null takes CLIP's 80 for ImageNet."""
    temperature: Positive = 100.0
    """What similarities are multiplied with before the softmax."""

    @property
    def words(self) -> list[list[str]]:
        """The names of each class, synonyms included."""
        return [[name.strip() for name in entry.split("|") if name.strip()] for entry in self.classes]

    @property
    def reads_image(self) -> bool:
        """For crops and attention."""
        return self.regions != "pooled"

    @property
    def reads_features_of(self) -> str | None:
        """The extractor under `extractor`, with pooled features."""
        return self.extractor

    def weights(self) -> Path | None:
        """The local weight file."""
        return None if self.checkpoint is None else Path(self.checkpoint)

    def known_names(self) -> list[str] | None:
        """The first name of each class."""
        return [names[0] for names in self.words]

    def problems(self) -> Iterator[str]:
        """The library may be missing, or not know the model or its weights."""
        yield from super().problems()
        yield from missing("open_clip") or open_clip_weights.problems(self.model, self.pretrained)

    def needs_network(self) -> Iterator[str]:
        """The weights, and what splits words, where they are not in the download cache."""
        if not missing("open_clip"):
            yield from open_clip_weights.cannot_be_had(self.model, self.pretrained)

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, given: Any) -> Any:
        if isinstance(given, dict) and (given.get("checkpoint") or given.get("random_seed") is not None):
            return {"pretrained": None, **given}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> "WordsOptions":
        empty = [entry for entry, names in zip(self.classes, self.words, strict=True) if not names]
        if empty:
            raise ValueError(f"no class name in {', '.join(map(repr, empty))}")
        check_distinct([name for names in self.words for name in names])
        if (self.regions == "pooled") != (self.extractor is not None):
            raise ValueError("extractor goes with regions: pooled, and only with it")
        if sum(source is not None for source in (self.pretrained, self.checkpoint, self.random_seed)) != 1:
            raise ValueError("give one of pretrained, checkpoint and random_seed")
        wrong = [template for template in self.templates or () if "{}" not in template]
        if wrong:
            raise ValueError(f"no {{}} in the templates {', '.join(map(repr, wrong))}")
        return self
