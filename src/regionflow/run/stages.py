"""The stages: the version of each one's code, exactly which options change its output, and what else is asked of it.

This is the one declaration from which Snakemake's `params` are made, which the command line offers, and against which
the rerun tests check. Raise a version when the stage's code changes what it writes: Snakemake then remakes old files.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regionflow.base.options import Kind, Options
from regionflow.config.types import GROUPS, Config
from regionflow.run.truth_files import truth_sha256
from regionflow.semantics.example_options import ExamplesOptions
from regionflow.semantics.options import LabelerOptions
from regionflow.semantics.shipped import table_path
from regionflow.weights.files import file_sha256, identity

Names = Mapping[str, str]
MODEL_GROUPS = ("extractors", "segmenters", "labelers")
"""Groups of variants that may have a model."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    version: of its code.
    options: what changes its output, given the names in the output's path.
    group: the group of the configuration whose variant it makes, "" for none.
    outputs: suffix of each output of a stage that needs nothing but an image: the command line offers those.
    default: the variant that the command line takes if none is named.
    card: whether a stage without variants wants a card.
    """

    version: int
    options: Callable[[Config, Names], Mapping[str, Any]] = lambda config, names: {}
    group: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    card: Callable[[Config], bool] | None = None

    @property
    def may_use_card(self) -> bool:
        """Whether any of its jobs may want a card."""
        return self.card is not None or self.group in MODEL_GROUPS

    def weights(self, config: Config, names: Names) -> Path | None:
        """The weight file that the job loads, if its variant has one."""
        variant = getattr(config, self.group)[names[GROUPS[self.group]]] if self.group in MODEL_GROUPS else None
        return variant.weights() if isinstance(variant, Kind) else None

    def uses_card(self, config: Config, names: Names) -> bool:
        """Whether the job wants a card: the kind of its variant says so, or the stage itself."""
        if self.card is not None:
            return self.card(config)
        if not self.group:
            return False
        variant = getattr(config, self.group)[names[GROUPS[self.group]]]
        return isinstance(variant, Kind) and variant.uses_card


def _model(config: Config, name: str, options: Kind) -> Mapping[str, Any]:
    """A segmenter or extractor, the weights it names, and what counts as an image."""
    return {name: options, "weights_sha256": identity(options), "reading": config.images.reading}


def _segmenter(config: Config, names: Names) -> Mapping[str, Any]:
    options = config.segmenters[names["segmenter"]]
    return {**_model(config, "segmenter", options), **_content(options, names)}


def _content(options: Kind, names: Names) -> Mapping[str, Any]:
    """What a variant reads beside image and weights, if anything."""
    # Not `in`: the names may be Snakemake's wildcards, a list that is asked by key.
    content = options.content_of(names.get("image"))
    return {} if content is None else {"content_sha256": content}


def _extractor(config: Config, names: Names) -> Mapping[str, Any]:
    return _model(config, "extractor", config.extractors[names["extractor"]])


def _slic(config: Config, names: Names) -> Mapping[str, Any]:
    return {"slic": config.superpixels[names["superpixels"]], "reading": config.images.reading}


def _labeler(config: Config, names: Names) -> Mapping[str, Any]:
    """A labeler with what its class tables say; how images are read only if it looks at them.

    Of one that is fitted what the fit does not read, and what no such labeler can do without.
    """
    labeler = config.labelers[names["labeler"]]
    tables = [path.is_file() and file_sha256(path) for path in map(table_path, labeler.tables)]
    options = {**_model(config, "labeler", labeler), "tables_sha256": tables, **_content(labeler, names)}
    if labeler.is_fitted:
        options["labeler"] = _some(labeler, {*LabelerOptions.model_fields, "type", "examples", "extractor"})
    return options if labeler.reads_image else {key: options[key] for key in options.keys() - {"reading"}}


def _classifier(config: Config, names: Names) -> Mapping[str, Any]:
    """A labeler that is fitted, with what its examples say: of the options those that the fit reads."""
    labeler = config.labelers[names["labeler"]]
    assert isinstance(labeler, ExamplesOptions)
    read = _some(labeler, labeler.model_fields.keys() - LabelerOptions.model_fields.keys())
    return {"labeler": read, "examples_sha256": examples_sha256(labeler.path)}


def _some(options: Options, names: Collection[str]) -> dict[str, Any]:
    """Some of the fields, as JSON types; whoever reads them back has defaults for the others, which nobody asks for."""
    return {name: value for name, value in options.canonical().items() if name in names}


def examples_sha256(path: Path) -> dict[str, str]:
    """sha256 of a file of examples, or of every label map in a folder, by name; empty for what is not there."""
    files = sorted(path.rglob("*.png")) if path.is_dir() else [path] if path.is_file() else []
    return {file.relative_to(path.parent).as_posix(): file_sha256(file) for file in files}


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


def _coco(config: Config, names: Names) -> Mapping[str, Any]:
    return {"coco": config.exports.coco, **_class_list(config, names)}


def _named_coco(config: Config, names: Names) -> Mapping[str, Any]:
    return {"coco": config.exports.coco}


def _class_list(config: Config, names: Names) -> Mapping[str, Any]:
    path = config.exports.class_list
    return {"class_list": path, "class_list_sha256": _sha256_of(path)}


def _photo(config: Config, names: Names) -> Mapping[str, Any]:
    return {"images": config.exports.coco.images, "reading": config.images.reading}


def _image_places(config: Config, names: Names) -> Mapping[str, Any]:
    """Where images are looked for; how they are read is seen in the image list."""
    images = _image_list(config, names)["images"]
    return {"images": {key: value for key, value in images.items() if key not in config.images.reading}}


def _overlay(config: Config, names: Names) -> Mapping[str, Any]:
    """With several labelers under targets a panel has the name of its own."""
    options = {"max_side": config.report.max_side, "reading": config.images.reading}
    labelers = config.targeted_labelers
    return {**options, "labelers": labelers} if len(labelers) > 1 else options


def _contact_sheet(config: Config, names: Names) -> Mapping[str, Any]:
    return {"images": config.report.contact_sheet_images, **_labels(config, names), **_class_list(config, names)}


def _page(config: Config, names: Names) -> Mapping[str, Any]:
    """Which labelers' names the page shows is in it: another list makes another page."""
    keys = ("page_images", "page_side", "page_crops", "page_regions", "page_features")
    kind = config.regions[names["regions"]]
    made_from = {"segmenter": [kind.segmenter], "superpixels": [kind.superpixels], "labeler": config.targeted_labelers}
    shown = {key: getattr(config.report, key) for key in keys}
    return {**shown, "made_from": made_from, "reading": config.images.reading}


def _report_index(config: Config, names: Names) -> Mapping[str, Any]:
    """The variants, and what each is made from; the page about ground truth is linked where there is one."""
    variants = [{"extractor": e, "regions": r} for r in config.targets.regions for e in config.targets.extractors]
    made_from = [{**names, **_page(config, names)["made_from"]} for names in variants]
    links = {} if config.known_truth is None else {"Evaluation": "evaluation.html"}
    return {"variants": made_from, "links": links, "reading": config.images.reading}


def _evaluation_page(config: Config, names: Names) -> Mapping[str, Any]:
    """Ground truth that is not there is told by the rule's input, not here."""
    known = {} if config.known_truth is None else _classes_of_truth(config, names)
    return {**known, "reading": config.images.reading}


def _truth(config: Config, names: Names) -> Mapping[str, Any]:
    """The ground truth, its content, and how masks are measured against it; with label maps in a column of the table
    its name."""
    table = config.images.table if getattr(config.known_truth, "column", None) else None
    known = {"truth": config.known_truth, "truth_sha256": truth_sha256(config), "image_table": table}
    return {**known, "evaluate": config.evaluate}


def _classes_of_truth(config: Config, names: Names) -> Mapping[str, Any]:
    return {key: value for key, value in _truth(config, names).items() if key != "evaluate"}


def _part_teacher(config: Config) -> Kind:
    return config.segmenters[config.parts.teacher.segmenter]


def _part_masks(config: Config, names: Names) -> Mapping[str, Any]:
    teacher = config.parts.teacher.model_copy(update={"segmenter": "named"})  # its options count, not its name
    return {**_model(config, "segmenter", _part_teacher(config)), "teacher": teacher, "size": config.parts.student.size}


def _part_targets(config: Config, names: Names) -> Mapping[str, Any]:
    checkpoint = config.parts.embedder.checkpoint
    return {
        "embedder": config.parts.embedder,
        "weights_sha256": _sha256_of(checkpoint),
        "reading": config.images.reading,
    }


def _part_model(config: Config, names: Names) -> Mapping[str, Any]:
    training = config.parts.training
    return {"student": config.parts.student, "training": training, "start_sha256": _sha256_of(training.start)}


def _part_probe(config: Config, names: Names) -> Mapping[str, Any]:
    return {"probe": config.parts.probe, **_part_split(config, names)}


def _part_split(config: Config, names: Names) -> Mapping[str, Any]:
    """Which images are held out: the same for student and probe."""
    return {"val_fraction": config.parts.training.val_fraction, "seed": config.parts.training.seed}


def _sha256_of(path: str | None) -> str | None:
    return file_sha256(Path(path)) if path is not None and Path(path).is_file() else None


STAGES: dict[str, Stage] = {
    "weights": Stage(1),
    "images": Stage(2, _image_list),
    "features": Stage(3, _extractor, "extractors", {"features": ".h5"}, default="daisy_lab"),
    "masks": Stage(4, _segmenter, "segmenters", {"masks": ".json"}, default="merge_tree"),
    "superpixels": Stage(3, _slic, "superpixels", {"labels": ".png", "regions": ".json"}, default="slic"),
    "regions": Stage(2, lambda config, names: {"regions": config.regions[names["regions"]]}, "regions"),
    "pooled": Stage(2, lambda config, names: {"pooling": config.pooling}),
    "pooled_set": Stage(2),
    "clusters": Stage(4, _clusters),
    "comparison": Stage(1),
    "labels": Stage(4, _labels),
    "classifier": Stage(2, _classifier),
    "semantics": Stage(3, _labeler, "labelers"),
    "mask_scores": Stage(1, _truth),
    "region_scores": Stage(1, _truth),
    "cluster_scores": Stage(1, lambda config, names: {**_classes_of_truth(config, names), **_labels(config, names)}),
    "semantics_scores": Stage(1, _classes_of_truth),
    "evaluation": Stage(2),
    "overlay": Stage(3, _overlay),
    "contact_sheet": Stage(2, _contact_sheet),
    "page": Stage(5, _page),
    "report_index": Stage(1, _report_index),
    "evaluation_page": Stage(2, _evaluation_page),
    "coco": Stage(4, _coco),
    "metadata": Stage(1, _coco),
    "coco_photo": Stage(1, _photo),
    "region_table": Stage(2),
    "parquet": Stage(1),
    "colour_map": Stage(2),
    "classes": Stage(3, lambda config, names: {**_labels(config, names), **_class_list(config, names)}),
    "named_coco": Stage(5, _named_coco),
    "named_panoptic": Stage(4, _named_coco),
    "panoptic_map": Stage(2),
    "named_table": Stage(2),
    "named_map": Stage(2),
    "label_studio": Stage(1),
    "named_classes": Stage(2),
    "problems": Stage(2, _image_places),
    "parts_masks": Stage(2, _part_masks, card=lambda config: _part_teacher(config).uses_card),
    "parts_targets": Stage(2, _part_targets, card=lambda config: True),
    "parts_set": Stage(1, lambda config, names: {"reading": config.images.reading}),
    "parts_model": Stage(1, _part_model, card=lambda config: True),
    "parts_probe": Stage(1, _part_probe, card=lambda config: True),
    "parts_test": Stage(2, _part_split, card=lambda config: True),
    "parts_islands": Stage(2, lambda config, names: {"reading": config.images.reading}),
    "parts_agreement": Stage(1),
    "parts_page": Stage(2, lambda config, names: {"reading": config.images.reading}),
}


def runtime(config: Config) -> dict[str, Any]:
    """What a job is told of how to work, which changes no output."""
    return {**config.runtime.canonical(), "on_bad_image": config.images.on_bad_image}


def stage_options(config: Config, stage: str, names: Names) -> dict[str, Any]:
    """What changes the output of a stage, as JSON types: its options, defaults included, and its version."""
    declared = STAGES[stage]
    options = {
        key: value.canonical() if isinstance(value, Options) else value
        for key, value in declared.options(config, names).items()
    }
    return {"stage_version": declared.version, **options}
