"""Options of class tables that rename what another labeler said."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from regionflow.base.options import Name, Refers
from regionflow.semantics.options import NamingOptions, Text


class RenamedOptions(NamingOptions):
    """Another labeler's names by other class tables, beside its own and without looking at the images again."""

    implementation: ClassVar[str] = "regionflow.semantics.renamed:Renamed"

    type: Literal["renamed"] = "renamed"
    """Kind of labeler."""
    labeler: Annotated[Name, Refers("labelers")]
    """The labeler whose names are renamed: one that scores classes, or another of this type."""
    tables: Annotated[list[Text], Field(min_length=1)]
    """Class tables, one after the other: coco_133_to_28, coco_28_to_19, or the path of a TSV with the columns source
    and target. Classes are renamed after the decision; scores of classes that become one are added up, over the five
    likeliest that are stored."""

    @property
    def reads_image(self) -> bool:
        """Names are all that it looks at."""
        return False

    @property
    def renames(self) -> str | None:
        """The labeler under `labeler`."""
        return self.labeler
