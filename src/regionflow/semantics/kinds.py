"""The kinds of labelers, and how one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from regionflow.base.kinds import implementation
from regionflow.semantics.example_options import ExamplesOptions
from regionflow.semantics.renamed_options import RenamedOptions
from regionflow.semantics.seem_options import SeemOptions
from regionflow.semantics.transformers_options import TransformersOptions
from regionflow.semantics.words_options import WordsOptions

if TYPE_CHECKING:  # these import scipy and OpenCV, which a configuration has no use for
    from regionflow.semantics.fuse import LabelScores
    from regionflow.semantics.seen import Seen

LabelerKind = Annotated[
    ExamplesOptions | SeemOptions | TransformersOptions | WordsOptions | RenamedOptions, Field(discriminator="type")
]


class Labeler(Protocol):
    """Anything that scores class names for the regions or pixels of an image."""

    def label(self, seen: Seen) -> LabelScores:
        """Scores of regions, a dense map or both, and the names of the classes.

        Raises ValueError if what the labeler's options ask for was not shown.
        """
        ...


def labeler(options: LabelerKind, device: str = "cpu") -> Labeler:
    """The labeler that the options describe, its model (if it has one) loaded on `device`.

    Of options that rename what another labeler said it is a `Renamed`, which scores nothing.

    Raises UserError, naming the model or file, if there is no such model, or its weights or library are missing.
    """
    built: Labeler = implementation(options)(options, device)
    return built
