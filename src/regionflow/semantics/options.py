"""Options of the labelers; `type` says which kind."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from regionflow.base.options import Kind, Name, Refers, Seed
from regionflow.semantics.shipped import coco_panoptic, examples_path

Text = Annotated[str, Field(min_length=1)]
ExtractorName = Annotated[Name, Refers("extractors")]


class FusionOptions(Kind):
    """How scores become classes: common to all labelers."""

    min_score: float = 0.0
    """A class with a lower score (0 to 1) does not win: the region goes to the dense map's vote, the pixel to none."""
    erode: bool = True
    """Leave out a region's border (an 11 x 11 ellipse, 3 x 3 for thin regions) where scores are read under its mask."""
    visible: bool = False
    """Look only at the part of a region that no smaller region covers."""
    vote: bool = True
    """A region without a class takes that of most of its pixels in the dense map, if the labeler has one."""
    fill: bool = True
    """Pixels in no region take the class of the dense map, if the labeler has one; otherwise they have none."""
    merge: Literal["scores", "labels"] = "scores"
    """With a class table: scores of classes that become one are added before the likeliest is taken; or, as the
    SAM + SEEM pipeline does, the likeliest is taken first and then renamed."""


class LabelerOptions(FusionOptions):
    """What all labelers have."""

    tables: list[Text] = []
    """Class tables, one after the other, that merge the labeler's classes: coco_133_to_28, coco_28_to_19, or the path
    of a TSV with the columns source and target."""

    @property
    def reads_image(self) -> bool:
        """Whether the labeler looks at the image."""
        return True

    @property
    def reads_features_of(self) -> str | None:
        """The extractor whose region features it looks at, if any."""
        return None

    @property
    def is_fitted(self) -> bool:
        """Whether it needs a classifier that is fitted to the whole set first."""
        return False

    def known_names(self) -> list[str] | None:
        """Its class names, where the options alone tell them."""
        return None

    def problems(self) -> Iterator[str]:
        """Mistakes in the class tables."""
        names = self.known_names()
        if names is not None and self.tables:
            from regionflow.semantics.tables import BadClassTable, read_tables

            try:
                read_tables(self.tables, names)
            except BadClassTable as error:
                yield f"tables: {error}"


class ExamplesOptions(LabelerOptions):
    """Names from a few labelled regions: a linear classifier of region features, fitted to them. Needs no weights."""

    implementation: ClassVar[str] = "regionflow.semantics.examples:Examples"

    type: Literal["examples"] = "examples"
    """Kind of labeler."""
    examples: Text
    """TSV with the columns image, x, y, class or region_id, class; or a folder of label maps, `<image>.png`;
    sample_photos: those that come along."""
    extractor: ExtractorName
    """The extractor whose region features are looked at."""
    classes: Annotated[list[Text], Field(min_length=2)] | None = None
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

    @property
    def reads_image(self) -> bool:
        """Region features are all that it looks at."""
        return False

    @property
    def reads_features_of(self) -> str | None:
        """The extractor under `extractor`."""
        return self.extractor

    @property
    def is_fitted(self) -> bool:
        """To the examples."""
        return True

    @property
    def path(self) -> Path:
        """The file or folder of the examples."""
        return examples_path(self.examples)

    def known_names(self) -> list[str] | None:
        """The classes, if they are named."""
        return self.classes

    def problems(self) -> Iterator[str]:
        """Examples that are not there, and all mistakes in a TSV that can be seen without images."""
        from regionflow.semantics.example_files import BadExamples, read_tsv

        yield from super().problems()
        if self.path.is_dir():
            if self.classes is None:
                yield "classes: label maps need the class names: value v is the v-th"
        elif not self.path.is_file():
            yield f"examples: {self.path} is not there; put the file there or change the key"
        else:
            try:
                read_tsv(self.path, self.classes)
            except BadExamples as error:
                yield f"examples: {error}"

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


def _missing(*packages: str) -> Iterator[str]:
    """A line for each package of the extra that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            yield f"type: {package} is not installed: pip install 'regionflow[semantics]'"


class SeemOptions(LabelerOptions):
    """SEEM with a focal backbone: a semantic map, and a stroke prompt per region."""

    implementation: ClassVar[str] = "regionflow.semantics.seem:build"
    uses_card: ClassVar[bool] = True

    type: Literal["seem"] = "seem"
    """Kind of labeler."""
    checkpoint: Text | None = None
    """seem_focall_v0.pt (what the stroke prompts of the demo were made for) or seem_focall_v1.pt."""
    classes: Annotated[list[Text], Field(min_length=2)] | None = None
    """Class names; null takes COCO panoptic's 133. Needs no training: SEEM's vocabulary is open."""
    short_side: PositiveInt | None = 512
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
        yield from _missing("open_clip")

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
        yield from _missing("transformers")


class WordsOptions(LabelerOptions):
    """Open vocabulary: class names in words, by any model of open_clip (CLIP, SigLIP ...)."""

    implementation: ClassVar[str] = "regionflow.semantics.words:WordsLabeler"
    uses_card: ClassVar[bool] = True

    type: Literal["words"] = "words"
    """Kind of labeler."""
    classes: Annotated[list[Text], Field(min_length=2)]
    """Class names; synonyms after a bar: "sofa|couch". The first is the class's name."""
    model: Text = "ViT-B-16-quickgelu"
    """Name in open_clip."""
    pretrained: Text | None = "openai"
    """open_clip's tag of the weights, from its download cache; not used with `checkpoint` or `random_seed`."""
    checkpoint: Text | None = None
    """Local weight file."""
    random_seed: Seed | None = None
    """Random weights from this seed, to try a workflow without a download."""
    regions: Literal["pooled", "box", "masked", "both"] = "pooled"
    """What of a region is compared with the words: pooled features of `extractor`, a crop of its box, a crop with
    everything else blanked out, or the mean of both crops."""
    extractor: ExtractorName | None = None
    """With `pooled`: an extractor whose features lie in the model's text space, such as maskclip_vitb16."""
    templates: Annotated[list[Text], Field(min_length=1)] | None = None
    """Sentences with {} for the class name; null takes CLIP's 80 for ImageNet."""
    temperature: PositiveFloat = 100.0
    """What similarities are multiplied with before the softmax."""

    @property
    def words(self) -> list[list[str]]:
        """The names of each class, synonyms included."""
        return [[name.strip() for name in entry.split("|") if name.strip()] for entry in self.classes]

    @property
    def reads_image(self) -> bool:
        """Only for crops."""
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
        """The library may be missing."""
        yield from super().problems()
        yield from _missing("open_clip")

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
