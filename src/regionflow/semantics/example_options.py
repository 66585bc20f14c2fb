"""Options of the labeler that learns from a few labelled regions."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from regionflow.base.options import CountOrNone, Positive
from regionflow.semantics.options import ClassNames, ExtractorName, LabelerOptions, Text, check_distinct
from regionflow.semantics.shipped import examples_path


class ExamplesOptions(LabelerOptions):
    """Names from a few labelled regions: a linear classifier of region features, fitted to them. Needs no weights."""

    implementation: ClassVar[str] = "regionflow.semantics.examples:Examples"

    type: Literal["examples"] = "examples"
    """Kind of labeler."""
    examples: Text
    """TSV with the columns image, x, y, class or region_id, class; or a folder of label maps, `<image>.png`;
    or points and masks from Label Studio (JSON), CVAT (XML) or a COCO file; sample_photos: those that come along."""
    extractor: ExtractorName
    """The extractor whose region features are looked at."""
    classes: ClassNames | None = None
    """Class names in their order; null takes those of the examples. Label maps need them: value v is the v-th."""
    method: Literal["logistic", "nearest_mean"] = "logistic"
    """logistic: balanced logistic regression; nearest_mean: the nearest class mean."""
    c: Positive = 1.0
    """Inverse strength of the logistic regression's L2 penalty, as sklearn's C."""
    shrink: float = Field(0.5, ge=0, le=1)
    """How much of the whitening of features (decorrelation over all regions of the set) is left out; 1 only
    standardises them."""
    purity: float = Field(0.8, gt=0.5, le=1)
    """Share of a region's pixels that must have one class in a label map, or lie in a mask of it, for it to be an
    example."""
    suggestions: CountOrNone = 30
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
        from regionflow.semantics.example_files import BadExamples
        from regionflow.semantics.labelled_regions import check_examples

        yield from super().problems()
        if self.path.is_dir():
            if self.classes is None:
                yield "classes: label maps need the class names: value v is the v-th"
        elif not self.path.is_file():
            yield f"examples: {self.path} is not there; put the file there or change the key"
        else:
            try:
                check_examples(self.path, self.classes)
            except BadExamples as error:
                yield f"examples: {error}"

    @model_validator(mode="after")
    def _distinct(self) -> "ExamplesOptions":
        check_distinct(self.classes or [])
        return self
