"""The declaration in `regionflow.run.stages`, proved by what the stages read: all that they declare, and nothing else.

Each stage runs on small photos while everything that it reads of its options is recorded on the way from its job to the
library (helpers.recorded_options). The test of reruns takes its expectation from the declaration; this one does not.
"""

import copy
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import yaml
from PIL import Image
from safetensors.torch import save_file

from helpers.forked import snakemake
from helpers.planned import SCRIPTS, begun, jobs_in
from helpers.recorded_options import Reads, watching
from helpers.scenes import save_photos
from helpers.small_labelers import labelers
from helpers.small_sam import LOW_THRESHOLDS, save_small_sam
from helpers.workflow import ROOT
from regionflow.base.files import sha256_of
from regionflow.base.options import Options
from regionflow.config.load import load_config
from regionflow.config.types import GROUPS, Config
from regionflow.run import stage
from regionflow.run.job import Job
from regionflow.run.models import ModelCache
from regionflow.run.stages import STAGES, stage_options

IMAGES = ["train/a/1", "train/a/2", "train/b/3", "train/b/4", "val/b/5"]
READING = {"max_megapixels": 200.0, "max_seconds": 100.0, "scale_16bit": "percentile", "bands": [2, 1, 3]}
SAM = {"type": "sam", **LOW_THRESHOLDS, "points_per_side": 4}
CONFIG: dict[str, Any] = {
    "images": {"dir": "photos", "split_from": "folder", **READING},
    "segmenters": {
        "tiny": {**SAM, "model": "sam_tiny", "crop_n_layers": 1},
        "small": {**SAM, "checkpoint": "small.pth"},
    },
    "superpixels": {"fine": {"n_segments": 80}},
    "regions": {"default": {}, "of_tiny": {"segmenter": "tiny", "superpixels": "fine", "min_pixels": 100}},
    "extractors": {
        "vit": {"type": "timm", "model": "test_vit", "random_seed": 0},
        "vit_file": {
            **{"type": "timm", "model": "test_vit", "checkpoint": "vit.safetensors"},
            **{"geometry": "resize_long", "size": 64},
        },
        "encoder": {"type": "sam_encoder", "checkpoint": "small.pth"},
    },
    "labelers": {
        "few": {
            "type": "examples",
            "examples": "examples.tsv",
            "extractor": "daisy_lab",
            "suggestions": 3,
            "min_score": 0.9,
            "tables": ["table.tsv"],
        }
    },
    "targets": {"extractors": ["daisy_lab", "vit"], "regions": ["default", "of_tiny"], "labelers": ["few"]},
    "clusters": {"k": [3, 2]},
    "exports": {"coco": {"images": "copy"}},
    "truth": {"type": "label_maps", "dir": "truth", "values": "classes", "classes": "classes.csv"},
    "parts": {
        "teacher": {"segmenter": "tiny", "grid": 4},
        "embedder": {"model": "test_vit", "random_seed": 0},
        "student": {"size": 32, "patch_size": 2, "dim": 64},
        "training": {"epochs": 1, "optimiser": "adamw"},
        "probe": {"epochs": 1},
    },
}
TARGETS = [
    *("all", "export", "evaluate", "parts", "results/parts/probe/accuracy.json"),
    *(f"results/masks/{name}/{IMAGES[0]}.json" for name in ("small", "graph")),
    *(f"results/features/{name}/{IMAGES[0]}.h5" for name in ("vit_file", "encoder")),
    "results/report/daisy_lab/default/report.html",
    "results/report/evaluation.html",
    "results/report/index.html",
]
# Once more with other values, for what is read only then: stage, keys and values.
AGAIN: list[tuple[str, dict[str, Any]]] = [
    ("parts_masks", {"parts.teacher.segmenter": "merge_tree"}),
    *((f"{what}_scores", {"truth": {"type": "label_maps", "dir": "truth"}}) for what in ("mask", "region")),
]
LOOKING = ["words_pooled", "words_both", "words_attention", "transformers"]
# A download, and what needs a library that may be missing; neither declares any options.
NOT_RUN = {"weights", "parquet"}

# What is read but not declared, by stage, and why it need not be.
_IN_THE_FILE = {"StudentOptions": "written in the file of the model, which is an input"}
_WHICH_IMAGES = {"ImagesOptions": "which images there are: images.tsv and a file of each image are inputs"}
MAY_READ: dict[str, dict[str, str]] = {
    **{name: _IN_THE_FILE for name in ("parts_islands", "parts_probe", "parts_test")},
    **{name: _WHICH_IMAGES for name in ("pooled_set", "clusters", "classifier", "parts_set")},
    "semantics": {"PoolingOptions": "always the same: features under a region's mask are averaged"},
    "parts_targets": {"TimmOptions": "what an embedder makes of its options: two fields of them, the others constant"},
}
RUNTIME = {
    "device": "where models run",
    "points_per_batch": "rounding alone depends on it",
    "on_bad_image": "decides whether there is a file, not what is in it",
    "images": "see ImagesOptions above",
    "listing": "the same",
}
KEYS = {
    "weights_sha256": "of a stage without weights: asked for when a file says what made it",
    "labelers": "named only where there are several",
    "evaluate": "the same measures for all scores; only those of masks and regions read them",
}

# What is declared but never read, and why it counts all the same.
IDENTITIES = {
    "weights_sha256": "content of a file that is read",
    "content_sha256": "content of files that are read",
    "tables_sha256": "content of files that are read",
    "examples_sha256": "content of files that are read",
    "start_sha256": "content of a file that is read",
    "truth_sha256": "content of files that are read",
    "class_list_sha256": "content of a file that is read",
    "model_sha256": "content of an input that may lie anywhere",
}
UNREAD: dict[str, dict[str, str]] = {
    "regions": {
        "RegionsOptions.segmenter": "its files are inputs",
        "RegionsOptions.superpixels": "its files are inputs",
    },
    "clusters": {"ClustersOptions.model": "always null here"},
    "classifier": {"labeler.extractor": "its files are inputs"},
    "semantics": {
        "labeler.extractor": "its files are inputs",
        "WordsOptions.extractor": "its files are inputs",
        "labeler.examples": "a labeler of this kind cannot do without",
    },
    "images": {"images.sample": "read where neither a folder nor a table is named"},
    "problems": {"images.sample": "read where neither a folder nor a table is named"},
    "parts_masks": {
        "TeacherOptions.segmenter": "always the same word",
        **{
            f"SamOptions.{name}": "about the masks of a whole image; a teacher prompts by itself"
            for name in (
                *("points_per_side", "point_grids", "box_nms_thresh", "skip_covered_iou", "min_mask_region_area"),
                *("mask_nms_thresh", "containment_nms_thresh", "crop_n_layers", "crop_nms_thresh"),
                *("crop_overlap_ratio", "crop_n_points_downscale_factor"),
            )
        },
        **{
            f"MergeTreeOptions.{name}": "about which regions of the tree become masks; a teacher takes its own"
            for name in ("min_size", "max_masks", "duplicate_iou", "pred_iou_thresh")
        },
    },
    **{
        f"{what}_scores": {
            "LabelMapTruth.background": "read where values are instances",
            "image_table": "read with a column",
        }
        for what in ("cluster", "semantics")
    },
    "mask_scores": {"image_table": "read with a column"},
    "region_scores": {"image_table": "read with a column"},
}
UNREAD |= {
    "evaluation_page": UNREAD["cluster_scores"],
    "report_index": {"links.Evaluation": "all links are copied to the page"},
    "page": {
        f"made_from.{name}": "read as a whole: whose jobs the times are of" for name in ("segmenter", "superpixels")
    },
}
COPIES = {"semantics": {"erode": "a region without it, where pixels vote"}}
"""Fields of which a stage makes copies with other values."""
FILES = {
    "truth": "the ground truth, whose content is known by one sha256 for all its files",
    "classes.csv": "the same",
    "segformer": "a model, known by one sha256 for all files of its folder",
    "clip": "how open_clip is told of the test's own model",
}


@dataclass(frozen=True)
class Leaf:
    """One declared value: its path in the options, and the class and name of the field that it is, if it is one."""

    path: str
    kind: type[Options] | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}.{self.name}" if self.kind else self.path


@dataclass
class Ran:
    """What a stage read in all of its jobs, the leaves of what it declared for them, and what is wrong with a job."""

    reads: Reads = field(default_factory=Reads)
    declared: set["Leaf"] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def prepare(folder: Path) -> Path:
    """Photos, weights, examples and ground truth; returns the file of the configuration."""
    save_photos(folder / "photos", [f"{name}.png" for name in IMAGES])
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down: what opens photos without our reader would show it so
    with Image.open(folder / f"photos/{IMAGES[0]}.png") as photo:
        photo.save(folder / f"photos/{IMAGES[0]}.png", exif=turned)
    save_small_sam(folder / "small.pth")
    save_file(timm.create_model("test_vit").state_dict(), folder / "vit.safetensors")
    points = zip(IMAGES, ((5, 5), (60, 48), (5, 90), (60, 48)), ("one", "two", "one", "two"), strict=False)
    rows = [("image", "x", "y", "class"), *((image, x, y, name) for image, (x, y), name in points)]
    (folder / "examples.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    (folder / "table.tsv").write_text("source\ttarget\none\tfirst\ntwo\tsecond\n")
    (folder / "classes.csv").write_text("value,name\n0,one\n1,two\n")
    for name in IMAGES:
        (folder / "truth" / name).parent.mkdir(parents=True, exist_ok=True)
        halves = (np.arange(96 * 120).reshape(96, 120) > 5000).astype(np.uint8)
        Image.fromarray(halves).save(folder / "truth" / f"{name}.png")
    CONFIG["labelers"] |= labelers(folder)
    configuration = folder / "config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIG))
    return configuration


def of_labelers() -> list[str]:
    """A file of each labeler that is not among the targets."""
    others = CONFIG["labelers"].keys() - CONFIG["targets"]["labelers"]
    return [f"results/semantics/{name}/default/{IMAGES[0]}.json" for name in sorted(others)]


def with_values(values: Mapping[str, Any]) -> Config:
    """The configuration with the values at those key paths."""
    changed = copy.deepcopy(CONFIG)
    for path, value in values.items():
        *groups, key = path.split(".")
        place = changed
        for group in groups:
            place = place[group]
        place[key] = value
    return load_config(changed)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Every stage, run in this process as the client would run it, and what it read."""
    folder = tmp_path_factory.mktemp("declared")
    configuration = prepare(folder)
    plan = snakemake(folder, configuration, "-n", "-p", *TARGETS, *of_labelers())
    assert plan.code == 0, plan.output
    stages: dict[str, Ran] = defaultdict(Ran)
    models: dict[str, ModelCache] = defaultdict(ModelCache)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = load_config(CONFIG)
        first = {}
        for description in jobs_in(plan.output):
            run_watched(description, config, stages[description["stage"]], models[description["stage"]])
            first.setdefault(description["stage"], description)
        for name, values in AGAIN:
            config = with_values(values)
            options = stage_options(config, name, first[name]["names"])
            run_watched({**first[name], "options": options}, config, stages[name], models[name])
    return dict(stages)


def run_watched(description: Mapping[str, Any], config: Config, into: Ran, models: ModelCache) -> None:
    """Run one job and add what it reads."""
    with begun(description, models) as (job, _):
        into.reads.objects.clear()
        into.reads.files.clear()
        with watching(job, into.reads) as watched:
            stage.run(watched, SCRIPTS)
        into.declared.update(leaves(STAGES[job.stage].options(config, job.names)))
        into.problems += wrong_variants(job, config, into.reads)
        into.problems += unknown_files(job, into.reads.files)


def leaves(options: Mapping[str, Any], prefix: str = "") -> Iterator[Leaf]:
    """All that is declared."""
    for key, value in options.items():
        path = prefix + key
        if isinstance(value, Options):
            for name in type(value).model_fields:
                inner = getattr(value, name)
                if isinstance(inner, Options):
                    yield from leaves({name: inner}, f"{path}.")
                else:
                    yield Leaf(f"{path}.{name}", type(value), name)
        elif isinstance(value, dict) and key not in IDENTITIES:
            yield from leaves(value, f"{path}.")
        else:
            yield Leaf(path, None, key)


def wrong_variants(job: Job, config: Config, reads: Reads) -> Iterator[str]:
    """Values that the job reads and that are not those of the variants in its names."""
    for group, wildcard in GROUPS.items():
        if wildcard not in job.names:
            continue
        variant = getattr(config, group)[job.names[wildcard]]
        for read in reads.objects:
            names = read.model_fields_set - COPIES.get(job.stage, {}).keys()
            if type(read) is type(variant) and any(getattr(read, n) != getattr(variant, n) for n in names):
                yield f"{job.stage} reads other options than those of {group}.{job.names[wildcard]}"


def unknown_files(job: Job, opened: set[Path]) -> Iterator[str]:
    """Files that somebody may change in place without this job's files being remade: in the folder, but no results."""
    recorded = json.dumps(job.options)
    for path in sorted(opened):
        if path.is_relative_to(Path.cwd()):
            place = path.relative_to(Path.cwd()).parts[0]
            known = place in (*FILES, "results", ".snakemake") or (
                place == "photos" and {"reading", "images"} & job.options.keys()
            )
        else:
            known = path.suffix != ".safetensors" or not path.is_relative_to(ROOT)  # the weights that come along
        if not known and path.is_file() and sha256_of(path) not in recorded:
            yield f"{job.stage} reads {path.name}, whose sha256 is not among its options"


@pytest.mark.parametrize(
    "name", ["seem", "seem_published", "words_pooled", "words_both", "words_attention", "transformers"]
)
def test_labelers_of_every_kind_ran(ran: dict[str, Ran], name: str) -> None:
    """As far as their libraries are installed."""
    if name not in CONFIG["labelers"]:
        pytest.skip(f"what {name} needs is not installed")
    kind = type(load_config(CONFIG).labelers[name])
    assert kind in {of for of, _ in ran["semantics"].reads.fields}


def test_every_stage_ran(ran: dict[str, Ran]) -> None:
    assert ran.keys() - NOT_RUN == STAGES.keys() - NOT_RUN


@pytest.mark.parametrize("name", sorted(STAGES.keys() - NOT_RUN))
def test_a_stage_reads_nothing_that_it_does_not_declare(ran: dict[str, Ran], name: str) -> None:
    reads, declared = ran[name].reads, ran[name].declared
    fields = {(leaf.kind, leaf.name) for leaf in declared if leaf.kind}
    plain = {leaf.name for leaf in declared if leaf.kind is None}
    groups = {leaf.path.partition(".")[0] for leaf in declared}
    undeclared = {
        f"{kind.__name__}.{key}" for kind, key in reads.fields if key not in plain and (kind, key) not in fields
    }
    may = MAY_READ.get(name, {})
    assert {path for path in undeclared | reads.defaults if path.partition(".")[0] not in may} == set()
    assert {key for key in reads.keys if key.partition(".")[0] not in groups | KEYS.keys()} == set()
    assert {key.partition(".")[0] for key in reads.runtime} <= RUNTIME.keys()
    assert ran[name].problems == []


@pytest.mark.parametrize("name", sorted(STAGES.keys() - NOT_RUN))
def test_a_stage_declares_nothing_that_it_never_reads(ran: dict[str, Ran], name: str) -> None:
    reads = ran[name].reads
    of_any_class = {key for _, key in reads.fields}

    def is_read(leaf: Leaf) -> bool:
        if leaf.path in reads.keys or leaf.name in IDENTITIES or leaf.name == "type":
            return True
        if leaf.kind is None:
            return leaf.name in reads.reading or leaf.name in of_any_class
        return (leaf.kind, leaf.name) in reads.fields

    unread = {str(leaf) for leaf in ran[name].declared if not is_read(leaf)}
    known = UNREAD.get(name, {}).keys() & {str(leaf) for leaf in ran[name].declared}  # a library may be missing
    assert sorted(unread) == sorted(known)


@pytest.mark.parametrize("name", sorted(STAGES.keys() - NOT_RUN))
def test_images_are_read_as_the_configuration_says(ran: dict[str, Ran], name: str) -> None:
    for key, values in ran[name].reads.reading.items():
        assert all(value == READING[key] for value in values), key


def test_no_exception_is_out_of_use(ran: dict[str, Ran]) -> None:
    for name, classes in MAY_READ.items():
        reads = ran[name].reads
        read = {kind.__name__ for kind, _ in reads.fields} | {path.partition(".")[0] for path in reads.defaults}
        assert classes.keys() <= read, name
