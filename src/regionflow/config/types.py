"""The whole configuration: the options of every room under their keys, what is made of them, and how.

Named variants (extractors, segmenters, superpixels, regions) are declared here and chosen under `targets`. Everything
in `runtime` and `report` leaves the data as it is: changing it remakes no masks, features, regions or labels.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from regionflow.base.options import Count, CountOrNone, Few, Name, Options, Positive, Refers
from regionflow.config.builtin import BUILTIN
from regionflow.evaluate.options import CocoTruth, EvaluateOptions, TruthOptions
from regionflow.exports.options import ExportsOptions
from regionflow.features.kinds import ExtractorOptions
from regionflow.images.options import TRUTH_FILE, ImagesOptions
from regionflow.labels.options import ClustersOptions
from regionflow.masks.kinds import SegmenterOptions
from regionflow.parts.options import PartsOptions
from regionflow.pooled.options import PoolingOptions
from regionflow.regions.options import RegionsOptions
from regionflow.report.options import ReportOptions
from regionflow.semantics.kinds import LabelerKind
from regionflow.superpixels.options import SlicOptions

GROUPS = {
    "segmenters": "segmenter",
    "superpixels": "superpixels",
    "regions": "regions",
    "extractors": "extractor",
    "labelers": "labeler",
}
"""The groups of named variants, and the wildcard that names a variant in paths."""


class TargetsOptions(Options):
    """What a plain `snakemake` makes: every extractor here pooled over every kind of region here, then clustered."""

    extractors: Annotated[list[Annotated[Name, Refers("extractors")]], Field(min_length=1)] = ["daisy_lab"]
    """Names from `extractors`."""
    regions: Annotated[list[Annotated[Name, Refers("regions")]], Field(min_length=1)] = ["default"]
    """Names from `regions`."""
    labelers: list[Annotated[Name, Refers("labelers")]] | None = None
    """Names from `labelers`, which name every kind of region here; null: sample_photos for the sample photos, none
    for other images."""


class RuntimeOptions(Options):
    """How the work is done. Nothing here changes what is made."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where models run; auto takes a card where there is one."""
    warm: bool = True
    """Whether jobs run in resident processes that keep imports and models; false starts a process per job."""
    keep_features: bool = True
    """Whether feature maps stay after pooling; false deletes each once all that needs it is made. They are large:
    ViT-L at full size takes 10-20 MB an image. `snakemake --delete-temp-output` deletes those of earlier runs."""
    model_threads: Few = 1
    """CPU threads of one job that runs a model."""
    points_per_batch: Count | None = None
    """Point prompts per mask decoder batch; null chooses by device."""
    shard_images: CountOrNone | None = None
    """Images in a shard. A run of many images is one job for each shard, with a run of its own in it (docs/shards.md).
    0: no shards; null: shards of 1000 where there are more than 5000 images."""
    seconds_per_image: Positive = 10.0
    """What an image takes in one slot, all stages together, for the time that is asked of a cluster for a shard, until
    logs/records has been written by earlier runs (docs/cluster.md)."""
    check_files: bool = True
    """Whether a run in shards looks at the size and time of every file that earlier runs have made, and so finds files
    that others have changed or removed; false trusts the summaries of the shards."""


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
    labelers: Annotated[dict[Name, LabelerKind], _beside_builtin("labelers")] = Field({}, validate_default=True)
    """Named labelers, which give class names to regions; `type` says which kind."""
    pooling: PoolingOptions = PoolingOptions()
    """How a feature map becomes one vector per region."""
    clusters: ClustersOptions = ClustersOptions()
    """Automatic labels."""
    truth: TruthOptions | None = None
    """Ground truth, for target `evaluate`; null: none, or with images.sample `truth` that of these pictures."""
    evaluate: EvaluateOptions = EvaluateOptions()
    """What is measured against the ground truth."""
    parts: PartsOptions = PartsOptions()
    """Part-whole hierarchies: `snakemake --cores all parts`."""
    exports: ExportsOptions = ExportsOptions()
    """Forms for other tools: `snakemake --cores all export`."""
    report: ReportOptions = ReportOptions()
    """Pictures for people."""
    runtime: RuntimeOptions = RuntimeOptions()
    """Device, threads, batch sizes."""

    @property
    def known_truth(self) -> TruthOptions | None:
        """The ground truth under `truth`, or that of the sample pictures."""
        samples = self.images.dir is None and self.images.table is None and self.images.sample == "truth"
        return CocoTruth(file=str(TRUTH_FILE)) if self.truth is None and samples else self.truth

    @property
    def targeted_labelers(self) -> list[str]:
        """The names under targets, or what null stands for."""
        if self.targets.labelers is not None:
            return self.targets.labelers
        samples = self.images.dir is None and self.images.table is None and self.images.sample == "photos"
        return ["sample_photos"] if samples else []
