"""Options of the segmenters; `type` says which kind."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from regionflow.base.errors import UserError
from regionflow.base.files import sha256_of_text
from regionflow.base.options import Count, CountOrNone, Exponent, Kind, Name, NotNegative, Positive, Refers, Side, Sigma
from regionflow.formats.coco import read_coco
from regionflow.sam.options import AmgOptions, SamWeights


class MergeTreeOptions(Kind):
    """Merging of small cells into one tree of nested regions: needs no weights, and is the default.

    Watershed basins of the colour gradient are merged, always the two nearest neighbours, until one region is left.
    The regions that stand out longest before they are merged further become masks: of any two, one holds the other or
    they are disjoint.
    """

    implementation: ClassVar[str] = "regionflow.masks.merge_tree:MergeTreeSegmenter"

    type: Literal["merge_tree"] = "merge_tree"
    """Kind of segmenter."""
    sigma: Sigma = 0.6
    """Gaussian smoothing before the colour gradient is taken, in pixels."""
    border_weight: float = Field(0.5, ge=0, le=1)
    """Share of the contrast along the common border in the distance of two regions; the rest is that of colours."""
    size_power: Exponent = 0.4
    """How much farther large regions are from each other than small ones: power of the harmonic mean of the areas."""
    contact_power: Exponent = 0.2
    """How much nearer regions are that share a large part of their border: power of this part."""
    features: Annotated[Name, Refers("extractors")] | None = None
    """An extractor whose features, pooled over the regions, count in the distance too; null: colour alone does."""
    feature_weight: float = Field(0.5, ge=0, le=1)
    """With `features`: share of their cosine distance in the distance of two regions; the rest is colour and border."""
    cell_distance: NotNegative = 0.2
    """Neighbours nearer than this are merged at once, before the tree begins. Larger is faster and coarser."""
    min_size: Count = 30
    """Smallest mask in pixels of the (shrunk) image."""
    max_side: Side = 1024
    """Larger images are segmented at this longer side; the masks are enlarged again."""
    max_masks: CountOrNone = 200
    """Most masks of an image; those with the best predicted IoU are kept."""
    duplicate_iou: float = Field(0.9, gt=0, le=1)
    """Of two masks that overlap more than this (mask IoU) the one with the lower predicted IoU is dropped."""
    pred_iou_thresh: float = Field(0.15, ge=0, le=1)
    """Masks with a lower predicted IoU are dropped."""


class GraphOptions(Kind):
    """Graph-based segmentation at several scales: needs no weights, and is a baseline beside SAM.

    skimage.segmentation.felzenszwalb (Felzenszwalb and Huttenlocher 2004) at each scale; near-duplicates are removed,
    nested masks stay.
    """

    implementation: ClassVar[str] = "regionflow.masks.graph:Graph"

    type: Literal["graph"] = "graph"
    """Kind of segmenter."""
    scales: Annotated[list[Positive], Field(min_length=2)] = [100.0, 300.0, 1000.0]
    """Observation levels; larger gives larger masks. A mask's predicted IoU is its agreement with the next level."""
    sigma: Sigma = 0.8
    """Gaussian smoothing before, in pixels."""
    min_size: Count = 50
    """Smallest mask in pixels of the (shrunk) image."""
    max_side: Side = 1024
    """Larger images are segmented at this longer side; the masks are enlarged again."""
    duplicate_iou: float = Field(0.9, gt=0, le=1)
    """Of two masks that overlap more than this (mask IoU) the one with the lower predicted IoU is dropped."""
    pred_iou_thresh: float = Field(0.5, ge=0, le=1)
    """Masks with a lower predicted IoU are dropped."""


class SamOptions(AmgOptions, SamWeights):
    """Segment Anything's automatic mask generation: SAM, MobileSAM and HQ-SAM; the options are the original's."""

    implementation: ClassVar[str] = "regionflow.masks.sam:Sam"
    uses_card: ClassVar[bool] = True

    type: Literal["sam"] = "sam"
    """Kind of segmenter."""


class FromCocoOptions(Kind):
    """Masks that people have drawn or corrected, from a COCO instances file of CVAT, Label Studio or any other program.

    Polygons, compressed and uncompressed RLE. An image of the set is the entry whose file name without suffix is its
    id, or the last part of its id. An image without entry has no masks; the end of a run says which. An annotation that
    changes in the file remakes the masks of its image, and no others.
    """

    implementation: ClassVar[str] = "regionflow.masks.from_coco:FromCoco"

    type: Literal["from_coco"] = "from_coco"
    """Kind of segmenter."""
    file: Annotated[str, Field(min_length=1)]
    """The JSON file."""

    def problems(self) -> Iterator[str]:
        """The file is not there, or is none."""
        try:
            read_coco(Path(self.file))
        except UserError as error:
            yield f"file: {error}"

    def content_of(self, image: str | None) -> str | None:
        """Of one image what the file says about it, so that a changed file remakes the images that changed."""
        if not Path(self.file).is_file():
            return None
        try:
            file = read_coco(Path(self.file))
        except UserError:  # told among the problems
            return None
        entries = list(file.images.values()) if image is None else [file.find(image)]
        return sha256_of_text("".join(entry.sha256 if entry else "none" for entry in entries))

    def problems_with(self, images: Collection[str]) -> Iterator[str]:
        """Entries that may be of several images, and a file that has none of the images."""
        try:
            file = read_coco(Path(self.file))
        except UserError:
            return
        for name, candidates in file.ambiguous(images).items():
            yield f"file: {self.file}: {name} may be any of {_some(candidates)}; name the folder as well"
        missing, extra = file.unmatched(images)
        if images and len(missing) == len(images):
            yield f"file: {self.file} has none of the images ({_some(missing)}); it has {_some(extra) or 'no images'}"

    def told(self, images: Collection[str]) -> Iterator[str]:
        """Images without entry and entries without image, by name."""
        try:
            missing, extra = read_coco(Path(self.file)).unmatched(images)
        except UserError:
            return
        if missing:
            yield f"{self.file} has nothing about {len(missing)} image(s), which have no masks by it: {_some(missing)}"
        if extra:
            yield f"{self.file} has {len(extra)} image(s) that are not in the set: {_some(extra)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
