"""Every key of config/config.yaml, its type, default and meaning.

Named variants (extractors, segmenters, superpixels, regions) are declared here and chosen under `targets`. Everything
in `runtime` and `report` leaves the data as it is: changing it remakes no masks, features, regions or labels.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PositiveInt,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from regionflow.base.options import Options
from regionflow.features.options import ExtractorOptions
from regionflow.features.presets import PRESETS
from regionflow.masks.options import SegmenterOptions
from regionflow.pooled.pool import PoolingOptions
from regionflow.weights.published import CHECKPOINTS

# Names become folder names and wildcards.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class ImagesOptions(Options):
    """Where the images are. With neither `dir` nor `table`, sample photos from the installed packages are used."""

    dir: str | None = None
    """A folder, searched with its sub-folders. An image's id is its path in the folder without the suffix."""
    table: str | None = None
    """A TSV file with the columns id, path (relative to the table) and, if wanted, split. Instead of `dir`."""
    split_from: Literal["table", "folder"] = "table"
    """`folder`: an image's split is the first folder of its id, as in dir/train/a.jpg; `table`: the table's column."""
    suffixes: list[str] = [".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"]
    """Which files of `dir` are images, in any case."""
    follow_links: bool = False
    """Whether links to folders inside `dir` are followed. Links to files always are."""
    max_megapixels: float = Field(250.0, gt=0)
    """Larger images are not decoded but recorded as unreadable."""
    on_bad_image: Literal["record", "fail"] = "record"
    """`record`: an unreadable image gets empty files and a line in results/problems.tsv; `fail`: its jobs fail."""

    @model_validator(mode="after")
    def _one_source(self) -> "ImagesOptions":
        if self.dir is not None and self.table is not None:
            raise ValueError("give either dir or table, not both")
        return self


class SlicOptions(Options):
    """Superpixels by skimage.segmentation.slic; the defaults follow the region-representations paper's fast_slic."""

    n_segments: PositiveInt = 50
    """About how many superpixels; never more than the image has pixels."""
    compactness: float = Field(8.0, gt=0)
    """Weight of space against Lab colour: the colour distance that equals one superpixel's width."""
    max_num_iter: PositiveInt = 10
    """Rounds of the local k-means."""
    sigma: float = Field(0.0, ge=0)
    """Gaussian smoothing before, in pixels."""
    min_size_factor: float = Field(0.25, ge=0)
    """Pieces smaller than this share of the mean size join a neighbour."""
    max_size_factor: float = Field(3.0, gt=0)
    """Superpixels larger than this multiple of the mean size are split."""
    enforce_connectivity: bool = True
    """Whether every superpixel is one connected piece."""
    slic_zero: bool = False
    """SLICO: compactness adapted per superpixel."""


class RegionsOptions(Options):
    """One kind of region: a segmenter's masks, and superpixels where no mask is."""

    segmenter: Name | None = "graph"
    """Name of the segmenter whose masks come first; null for superpixels alone."""
    superpixels: Name | None = "slic"
    """Name of the superpixels that fill what the masks leave uncovered; null for masks alone."""
    max_area_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Masks that cover a larger share of the image than this are dropped first; 1 keeps all."""
    min_pixels: int = Field(300, ge=0)
    """A superpixel is kept if at least so many of its pixels are uncovered."""
    min_proportion: Fraction = 0.0
    """... and if at least this share of it is uncovered."""
    split_fragments: bool = False
    """Whether the uncovered part of a superpixel becomes one region per connected piece."""

    @model_validator(mode="after")
    def _some_source(self) -> "RegionsOptions":
        if self.segmenter is None and self.superpixels is None:
            raise ValueError("needs a segmenter, superpixels or both")
        return self


ClusterCount = Annotated[int, Field(ge=2, le=65534)]
# Told apart first, so that a mistake is told once and not once for each type.
OneOrSeveral = Annotated[
    Annotated[ClusterCount, Tag("one")] | Annotated[list[ClusterCount], Field(min_length=1), Tag("several")],
    Discriminator(lambda k: "several" if isinstance(k, list) else "one"),
]


class ClustersOptions(Options):
    """Clusters of region features over the whole set, by sklearn.cluster.MiniBatchKMeans."""

    k: OneOrSeveral = 16
    """Number of clusters. With a list each is fitted and compared in clusters/.../comparison.tsv; the labels are of
    the first."""
    seed: int = Field(0, ge=0)
    """Seed of the k-means++ start and of the order in which regions are seen."""
    batch_size: PositiveInt = 1024
    """Regions per mini-batch. It changes the centres, so it counts as an option that changes results."""
    max_epochs: PositiveInt = 20
    """Passes over the set at most."""
    tolerance: float = Field(1e-4, ge=0)
    """Stop when a pass moves the centres by less than this share of the features' spread."""
    init_regions: PositiveInt = 20000
    """Size of the seeded sample, taken over all images, on which k-means++ chooses the first centres."""
    fit_splits: Annotated[list[str], Field(min_length=1)] | None = None
    """Splits to whose regions the centres are fitted; the others are only labelled. null: train where the set has a
    split of that name, else all images."""
    as_published: bool = False
    """ALPS's online k-means as published: one unshuffled pass, started on the first batch alone. max_epochs, tolerance
    and init_regions then have no effect."""
    model: str | None = None
    """Centres of an earlier run (its clusters/.../centroids.h5, kept elsewhere): nothing is fitted and the other keys
    have no effect, so new images are labelled without touching old ones. {extractor} and {regions} are filled in."""

    @field_validator("model")
    @classmethod
    def _known_names(cls, model: str | None) -> str | None:
        try:
            (model or "").format(extractor="", regions="")
        except (KeyError, IndexError, ValueError):
            raise ValueError("only {extractor} and {regions} are filled in") from None
        return model

    @field_validator("k")
    @classmethod
    def _different(cls, k: int | list[int]) -> int | list[int]:
        if isinstance(k, list) and len(set(k)) < len(k):
            raise ValueError("the numbers must differ")
        return k

    @property
    def all_k(self) -> list[int]:
        """Every number of clusters that is fitted."""
        return self.k if isinstance(self.k, list) else [self.k]

    @property
    def first_k(self) -> int:
        """The number of clusters that the labels have."""
        return self.all_k[0]


class TargetsOptions(Options):
    """What a plain `snakemake` makes: every extractor here pooled over every kind of region here, then clustered."""

    extractors: Annotated[list[Name], Field(min_length=1)] = ["daisy_lab"]
    """Names from `extractors`."""
    regions: Annotated[list[Name], Field(min_length=1)] = ["sam_slic"]
    """Names from `regions`."""


class ReportOptions(Options):
    """Pictures for people."""

    max_side: PositiveInt = 800
    """Longer side of one panel of an overlay, in pixels; larger photos are shrunk."""
    contact_sheet_images: PositiveInt = 24
    """Images on the contact sheet, spread evenly over the set."""
    page_images: PositiveInt = 96
    """Images shown in full on the report page, spread evenly over the set; it lists the others."""
    page_side: Annotated[int, Field(ge=64, le=2048)] = 640
    """Longer side of an image on the report page, in pixels."""
    page_crops: Annotated[int, Field(ge=1, le=100)] = 12
    """Region crops per cluster on the report page."""
    page_regions: PositiveInt = 2000
    """Regions on the 2-D map of the report page, a seeded sample."""


class RuntimeOptions(Options):
    """How the work is done. Nothing here changes what is made."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where models run; auto takes a card where there is one."""
    warm: bool = True
    """Whether jobs run in resident processes that keep imports and models; false starts a process per job."""
    keep_features: bool = True
    """Whether feature maps stay after pooling; false deletes each once all that needs it is made. They are large:
    ViT-L at full size takes 10-20 MB an image. `snakemake --delete-temp-output` deletes those of earlier runs."""
    model_threads: PositiveInt = 1
    """CPU threads of one job that runs a model."""
    points_per_batch: PositiveInt | None = None
    """Point prompts per mask decoder batch; null chooses by device."""


_SAM = {
    model if model == "mobile_sam" else f"sam_{model}": {"model": model, "checkpoint": f"weights/{published.file_name}"}
    for model, published in CHECKPOINTS.items()
}
# Chosen on validation scenes: benchmarks/sam_tiny.py --validation; see docs/sam_tiny.md.
_SAM_TINY_THRESHOLDS = {
    "points_per_side": 32,
    "skip_covered_iou": 0.6,
    "only_connected": True,
    "pred_iou_thresh": 0.5,
    "stability_score_thresh": 0.6,
    "box_nms_thresh": 0.95,
    "crop_n_layers": 1,
    "crop_nms_thresh": 0.95,
    "crop_overlap_ratio": 0.1,
    "mask_nms_thresh": 0.9,
    "min_mask_region_area": 30,
}

BUILTIN: dict[str, dict[str, dict[str, Any]]] = {
    "segmenters": {
        "graph": {"type": "graph"},
        **{name: {"type": "sam", **sam} for name, sam in _SAM.items()},
        "sam_tiny": {"type": "sam", "model": "sam_tiny", **_SAM_TINY_THRESHOLDS},
    },
    "superpixels": {"slic": {}},
    "regions": {"sam_slic": {}},
    "extractors": {
        **{name: {**o.model_dump(exclude_defaults=True), "type": o.type} for name, o in PRESETS.items()},
        **{name: {"type": "sam_encoder", **sam} for name, sam in _SAM.items()},
        "sam_tiny": {"type": "sam_encoder", "model": "sam_tiny"},
    },
}
"""Variants that are there without being written down."""


def _beside_builtin(group: str) -> BeforeValidator:
    """Variants of a configuration stand beside the built-in ones; one of a built-in's name changes what it names."""

    def merge(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        merged = {**BUILTIN[group], **given}
        for name, builtin in BUILTIN[group].items():
            mine = merged[name]
            if isinstance(mine, Mapping) and mine.get("type", builtin.get("type")) == builtin.get("type"):
                merged[name] = {**builtin, **mine}
        return merged

    return BeforeValidator(merge)


class Config(Options):
    """The whole configuration."""

    images: ImagesOptions = ImagesOptions()
    """Where the images are and which are acceptable."""
    targets: TargetsOptions = TargetsOptions()
    """Which of the variants below are made."""
    segmenters: Annotated[dict[Name, SegmenterOptions], _beside_builtin("segmenters")] = Field(
        {}, validate_default=True
    )
    """Named mask generators; `type` says which kind."""
    superpixels: Annotated[dict[Name, SlicOptions], _beside_builtin("superpixels")] = Field({}, validate_default=True)
    """Named superpixel settings."""
    regions: Annotated[dict[Name, RegionsOptions], _beside_builtin("regions")] = Field({}, validate_default=True)
    """Named kinds of regions: which masks, which superpixels, how they are merged."""
    extractors: Annotated[dict[Name, ExtractorOptions], _beside_builtin("extractors")] = Field(
        {}, validate_default=True
    )
    """Named feature extractors; `type` says which kind."""
    pooling: PoolingOptions = PoolingOptions()
    """How a feature map becomes one vector per region."""
    clusters: ClustersOptions = ClustersOptions()
    """Automatic labels."""
    report: ReportOptions = ReportOptions()
    """Pictures for people."""
    runtime: RuntimeOptions = RuntimeOptions()
    """Device, threads, batch sizes."""
