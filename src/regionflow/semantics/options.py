"""What the options of all labelers have in common; each labeler has a file of its own, <labeler>_options.py."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field

from regionflow.base.options import Fraction, Kind, Name, Refers

Text = Annotated[str, Field(min_length=1)]
ExtractorName = Annotated[Name, Refers("extractors")]
ClassNames = Annotated[list[Text], Field(min_length=2)]


class FusionOptions(Kind):
    """How scores become classes: common to all labelers."""

    min_score: Fraction = 0.0
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


class NamingOptions(Kind):
    """What every variant under `labelers` has."""

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

    @property
    def renames(self) -> str | None:
        """The labeler whose names it renames, if any."""
        return None

    def known_names(self) -> list[str] | None:
        """Its class names before the tables, where the options alone tell them."""
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


class LabelerOptions(FusionOptions, NamingOptions):
    """What all labelers have that score classes themselves."""


def check_distinct(classes: list[str]) -> None:
    """Raise ValueError with all class names that stand more than once, also in another case."""
    lower = [name.casefold() for name in classes]
    twice = sorted({name for name in classes if lower.count(name.casefold()) > 1})
    if twice:
        raise ValueError(f"class names that stand more than once: {', '.join(twice)}")


def missing(*packages: str) -> list[str]:
    """A line for each package of the extra that is not installed."""
    return [
        f"type: {package} is not installed: pip install 'regionflow[semantics]'"
        for package in packages
        if find_spec(package) is None
    ]
