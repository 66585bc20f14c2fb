"""The stages: the version of each one's code, and exactly which options change its output.

This is the one declaration from which Snakemake's `params` are made and against which the rerun tests check. Raise a
version when the stage's code changes what it writes: Snakemake then remakes old files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regionflow.base.options import Options
from regionflow.config.types import Config
from regionflow.weights.files import file_sha256, identity

Names = Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """`options` picks what changes the output, given the names in the output's path; `model`: may use a card."""

    version: int
    options: Callable[[Config, Names], Mapping[str, Any]]
    model: Callable[[Config, Names], bool] = lambda config, names: False


def _model(config: Config, kind: str, options: Options) -> Mapping[str, Any]:
    """A segmenter or extractor, the weights it names, and what counts as an image."""
    return {kind: options, "weights_sha256": identity(options), "max_megapixels": config.images.max_megapixels}


def _segmenter(config: Config, names: Names) -> Mapping[str, Any]:
    return _model(config, "segmenter", config.segmenters[names["segmenter"]])


def _extractor(config: Config, names: Names) -> Mapping[str, Any]:
    return _model(config, "extractor", config.extractors[names["extractor"]])


def _clusters(config: Config, names: Names) -> Mapping[str, Any]:
    """The options of one fit: of the k in the path, or of the first."""
    # Not `in`: the names may be Snakemake's wildcards, a list that is asked by key.
    k = int(names.get("k", config.clusters.first_k))
    return {"clusters": config.clusters.model_copy(update={"k": k, "model": None})}


def model_path(config: Config, names: Names) -> Path | None:
    """The frozen centres that the configuration names for an extractor and a kind of region."""
    model = config.clusters.model
    return None if model is None else Path(model.format(extractor=names["extractor"], regions=names["regions"]))


def _labels(config: Config, names: Names) -> Mapping[str, Any]:
    model = model_path(config, names)
    return {"model_sha256": file_sha256(model) if model is not None and model.is_file() else None}


def _image_list(config: Config, names: Names) -> Mapping[str, Any]:
    """Without what to do about an unreadable image: that decides whether there is a file, not what is in it."""
    return {"images": {key: value for key, value in config.images.canonical().items() if key != "on_bad_image"}}


def _page(config: Config, names: Names) -> Mapping[str, Any]:
    keys = ("page_images", "page_side", "page_crops", "page_regions")
    return {**{key: getattr(config.report, key) for key in keys}, "max_megapixels": config.images.max_megapixels}


STAGES: dict[str, Stage] = {
    "weights": Stage(1, lambda c, n: {}),
    "images": Stage(1, _image_list),
    "features": Stage(1, _extractor, lambda c, n: c.extractors[n["extractor"]].type != "daisy_lab"),
    "masks": Stage(2, _segmenter, lambda c, n: c.segmenters[n["segmenter"]].type != "graph"),
    "superpixels": Stage(
        1, lambda c, n: {"slic": c.superpixels[n["superpixels"]], "max_megapixels": c.images.max_megapixels}
    ),
    "regions": Stage(1, lambda c, n: {"regions": c.regions[n["regions"]]}),
    "pooled": Stage(1, lambda c, n: {"pooling": c.pooling}),
    "pooled_set": Stage(1, lambda c, n: {}),
    "clusters": Stage(2, _clusters),
    "comparison": Stage(1, lambda c, n: {}),
    "labels": Stage(2, _labels),
    "overlay": Stage(1, lambda c, n: {"max_side": c.report.max_side, "max_megapixels": c.images.max_megapixels}),
    "contact_sheet": Stage(1, lambda c, n: {"images": c.report.contact_sheet_images}),
    "page": Stage(1, _page),
    "coco": Stage(1, lambda c, n: {}),
    "region_table": Stage(1, lambda c, n: {}),
    "colour_map": Stage(1, lambda c, n: {}),
    "classes": Stage(1, _labels),
    "problems": Stage(1, lambda c, n: {}),
}


def stage_options(config: Config, stage: str, names: Names) -> dict[str, Any]:
    """What changes the output of a stage, as JSON types: its options, defaults included, and its version."""
    declared = STAGES[stage]
    options = {
        key: value.canonical() if isinstance(value, Options) else value
        for key, value in declared.options(config, names).items()
    }
    return {"stage_version": declared.version, **options}
