"""Options of the labelers; `type` says which kind."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from regionflow.semantics.fuse import FusionOptions

Name = Annotated[str, Field(min_length=1)]


class LabelerOptions(FusionOptions):
    """What all labelers have."""

    tables: list[Name] = []
    """Class tables, one after the other, that merge the labeler's classes: coco_133_to_28, coco_28_to_19, or the path
    of a TSV with the columns source and target."""


class ExamplesOptions(LabelerOptions):
    """Names from a few labelled regions: a linear classifier of region features, fitted to them. Needs no weights."""

    type: Literal["examples"] = "examples"
    """Kind of labeler."""
    examples: Name
    """TSV with the columns image, x, y, class or region_id, class; or a folder of label maps, `<image>.png`."""
    extractor: Name
    """The extractor whose region features are looked at."""
    classes: Annotated[list[Name], Field(min_length=2)] | None = None
    """Class names in their order; null takes those of the examples. Label maps need them: value v is the v-th."""
    method: Literal["logistic", "nearest_mean"] = "logistic"
    """logistic: balanced logistic regression; nearest_mean: the nearest class mean."""
    c: PositiveFloat = 1.0
    """Inverse strength of the logistic regression's L2 penalty, as sklearn's C."""
    shrink: float = Field(0.5, ge=0, le=1)
    """How much of the whitening of features (decorrelation over all regions of the set) is left out; 1 only
    standardises them."""
    purity: float = Field(0.8, gt=0.5, le=1)
    """Share of a region's pixels that must have one class in a label map for it to be an example."""
    suggestions: int = Field(30, ge=0)
    """How many regions to name that are worth labelling next."""

    @model_validator(mode="after")
    def _distinct(self) -> "ExamplesOptions":
        check_distinct(self.classes or [])
        return self


def check_distinct(classes: list[str]) -> None:
    """Raise ValueError with all class names that stand more than once, also in another case."""
    lower = [name.casefold() for name in classes]
    twice = sorted({name for name in classes if lower.count(name.casefold()) > 1})
    if twice:
        raise ValueError(f"class names that stand more than once: {', '.join(twice)}")


class SeemOptions(LabelerOptions):
    """SEEM with a focal backbone: a semantic map, and a stroke prompt per region."""

    type: Literal["seem"] = "seem"
    """Kind of labeler."""
    checkpoint: Name | None = None
    """seem_focall_v0.pt (what the stroke prompts of the demo were made for) or seem_focall_v1.pt."""
    classes: Annotated[list[Name], Field(min_length=2)] | None = None
    """Class names; null takes COCO panoptic's 133. Needs no training: SEEM's vocabulary is open."""
    short_side: PositiveInt | None = 512
    """The image is resized (bicubic) to this shorter side, as in SEEM's demo; null keeps its size."""
    as_published: bool = False
    """The choices of the SAM + SEEM pipeline (fremk): no resizing, points drawn anew for every level, a stroke decides
    by its likeliest class and a pixel by its largest score, regions without the smaller ones on them. Random points
    are seeded here."""
    seed: int = Field(0, ge=0)
    """Of the points that are drawn where a region has more than 512."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """fp16: autocast, as the original runs on a card."""
    random_seed: int | None = Field(None, ge=0)
    """Random weights from this seed, to try a workflow without a download. Not with `checkpoint`."""

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


class TransformersOptions(LabelerOptions):
    """A semantic or universal segmentation model of the transformers library (EoMT, Mask2Former, SegFormer ...)."""

    type: Literal["transformers"] = "transformers"
    """Kind of labeler."""
    model: Name
    """Name on the Hugging Face hub, or a folder with config.json, the weights and preprocessor_config.json."""
    dense_side: PositiveInt = 1024
    """Longer side of the map of scores; between its cells scores are interpolated."""


class WordsOptions(LabelerOptions):
    """Open vocabulary: class names in words, by any model of open_clip (CLIP, SigLIP ...)."""

    type: Literal["words"] = "words"
    """Kind of labeler."""
    classes: Annotated[list[Name], Field(min_length=2)]
    """Class names; synonyms after a bar: "sofa|couch". The first is the class's name."""
    model: Name = "ViT-B-16-quickgelu"
    """Name in open_clip."""
    pretrained: Name | None = "openai"
    """open_clip's tag of the weights, from its download cache; not used with `checkpoint` or `random_seed`."""
    checkpoint: Name | None = None
    """Local weight file."""
    random_seed: int | None = Field(None, ge=0)
    """Random weights from this seed, to try a workflow without a download."""
    regions: Literal["pooled", "box", "masked", "both"] = "pooled"
    """What of a region is compared with the words: pooled features of `extractor`, a crop of its box, a crop with
    everything else blanked out, or the mean of both crops."""
    extractor: Name | None = None
    """With `pooled`: an extractor whose features lie in the model's text space, such as maskclip_vitb16."""
    templates: Annotated[list[Name], Field(min_length=1)] | None = None
    """Sentences with {} for the class name; null takes CLIP's 80 for ImageNet."""
    temperature: PositiveFloat = 100.0
    """What similarities are multiplied with before the softmax."""

    @property
    def words(self) -> list[list[str]]:
        """The names of each class, synonyms included."""
        return [[name.strip() for name in entry.split("|") if name.strip()] for entry in self.classes]

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
