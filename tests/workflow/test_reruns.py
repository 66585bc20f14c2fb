"""Which jobs a change remakes: every key of the configuration, the images, the weights and the stages' versions.

The expected jobs follow from `regionflow.run.stages` (which options feed which stage) and from `NEEDS` (which stage
reads which one's files); `snakemake -n` must list exactly those. No stage runs: empty outputs are given records by
--touch.
"""

import copy
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from helpers.forked import snakemake
from regionflow.config.load import ConfigError, load_config
from regionflow.config.types import Config
from regionflow.formats.images import write_images
from regionflow.images.find import find_images
from regionflow.images.survey import survey
from regionflow.run.stages import STAGES, stage_options
from regionflow.semantics.shipped import table_path

IMAGES = ["one", "sub/two"]
BASE: dict[str, Any] = {
    "images": {"dir": "photos"},
    "segmenters": {"sam": {"type": "sam", "checkpoint": "sam.pth"}, "graph": {"type": "graph"}},
    "superpixels": {"slic": {}, "fine": {"n_segments": 200}},
    "regions": {
        "default": {"segmenter": "sam", "superpixels": "slic"},
        "graph_fine": {"segmenter": "graph", "superpixels": "fine"},
    },
    "extractors": {
        "daisy_lab": {},
        "vit": {"type": "timm", "model": "test_vit", "random_seed": 0, "geometry": "resize_long"},
        "encoder": {"type": "sam_encoder", "checkpoint": "sam.pth"},
    },
    "labelers": {
        "few": {"type": "examples", "examples": "examples.tsv", "extractor": "vit"},
        "seem": {"type": "seem", "checkpoint": "sam.pth", "tables": ["coco_133_to_28"]},
        "said": {"type": "words", "classes": ["sky", "tree"], "extractor": "vit", "random_seed": 0},
        "short": {"type": "renamed", "labeler": "seem", "tables": ["coco_28_to_19"]},
    },
    "parts": {"teacher": {"segmenter": "sam"}},
    "targets": {
        "extractors": ["daisy_lab", "vit", "encoder"],
        "regions": ["default", "graph_fine"],
        "labelers": ["few", "seem", "said", "short"],
    },
}
TARGETS = ["all", "parts", "results/parts/probe/accuracy.json"]

# Which stage reads the files of which.
NEEDS = {
    "images": [],
    "problems": ["images"],
    "features": [],
    "masks": [],
    "superpixels": [],
    "regions": ["masks", "superpixels"],
    "pooled": ["features", "regions"],
    "pooled_set": ["pooled"],
    "clusters": ["pooled_set"],
    "labels": ["pooled", "regions", "clusters"],
    "classifier": ["pooled_set"],
    "semantics": ["regions", "pooled", "classifier", "semantics"],
    "overlay": ["regions", "labels", "semantics"],
    "contact_sheet": ["overlay", "images", "clusters"],
    "parts_masks": [],
    "parts_targets": ["parts_masks"],
    "parts_set": ["parts_targets"],
    "parts_model": ["parts_set"],
    "parts_probe": ["parts_set", "parts_model"],
    "parts_test": ["parts_set", "parts_model", "parts_probe"],
    "parts_islands": ["parts_masks", "parts_targets", "parts_model", "parts_set"],
    "parts_agreement": ["parts_islands", "images"],
    "parts_page": ["parts_islands", "parts_model", "images"],
}
PARTS_OF_AN_IMAGE = ("parts_masks", "parts_targets", "parts_islands")
READS_WEIGHTS = {"masks", "features", "semantics"}
# Of the stage semantics it is the labelers that look at the image.
READS_THE_IMAGE = {"features", "masks", "superpixels", "overlay", "images", "semantics", *PARTS_OF_AN_IMAGE}
# Its ids, or a file for every image.
READS_THE_SET = {"images", "pooled_set", "clusters", "contact_sheet", "parts_set", "parts_agreement", "parts_page"}

# Keys that change how work is done or what is asked for, but no file that is there.
FEEDS_NOTHING = ("runtime.", "targets.", "truth", "evaluate.", "exports.", "images.on_bad_image", "report.page_")
FEEDS_PICTURES = ("report.", "exports.class_list")
# Overlays have a panel for each labeler, and the contact sheet's legend names the clusters.
SEEN_IN_PICTURES = ("targets.labelers", "exports.class_list")
DATA = set(STAGES) - {"overlay", "contact_sheet"}

# Where another value cannot be guessed from the type: the values to set.
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "segmenters.sam.point_grids": {
        "segmenters.sam.points_per_side": None,
        "segmenters.sam.point_grids": [[[0.5, 0.5]]],
    },
    "extractors.vit.position_embedding": {
        "extractors.vit.position_embedding": "released",
        "extractors.vit.model": "vit_small_patch14_dinov2.lvd142m",
    },
    "images.dir": {"images.dir": "elsewhere"},
    "exports.class_list": {"exports.class_list": "table.tsv"},
    "images.bands": {"images.bands": [3, 2, 1]},
    "images.table": {"images.dir": None, "images.table": "table.tsv"},
    "targets.extractors": {"targets.extractors": ["vit"]},
    "targets.regions": {"targets.regions": ["graph_fine"]},
    "targets.labelers": {"targets.labelers": ["few"]},
    "labelers.few.examples": {"labelers.few.examples": "more_examples.tsv"},
    "labelers.few.extractor": {"labelers.few.extractor": "daisy_lab"},
    "labelers.few.classes": {"labelers.few.classes": ["sky", "tree"]},
    "labelers.few.tables": {"labelers.few.tables": ["table.tsv"]},
    "labelers.few.purity": {"labelers.few.purity": 0.9},
    "labelers.seem.checkpoint": {"labelers.seem.checkpoint": "other.pth"},
    "labelers.seem.random_seed": {"labelers.seem.checkpoint": None, "labelers.seem.random_seed": 0},
    "labelers.seem.classes": {
        "labelers.seem.classes": ["sky", "tree"],
        "labelers.seem.tables": [],
        "labelers.short.tables": ["sky_tree.tsv"],
    },
    "labelers.seem.tables": {"labelers.seem.tables": [], "labelers.short.tables": ["coco_133_to_28"]},
    "labelers.said.classes": {"labelers.said.classes": ["sky", "tree", "cup"]},
    "labelers.said.tables": {"labelers.said.tables": ["sky_tree.tsv"]},
    "labelers.said.model": {"labelers.said.model": "ViT-B-32"},
    "labelers.said.pretrained": {"labelers.said.pretrained": "openai", "labelers.said.random_seed": None},
    "labelers.said.checkpoint": {"labelers.said.checkpoint": "other.pth", "labelers.said.random_seed": None},
    "labelers.said.regions": {"labelers.said.regions": "attention", "labelers.said.extractor": None},
    "labelers.said.extractor": {"labelers.said.extractor": "daisy_lab"},
    "labelers.said.templates": {"labelers.said.templates": ["a {}"]},
    "labelers.short.labeler": {"labelers.short.labeler": "few"},
    "labelers.short.tables": {"labelers.short.tables": ["again.tsv"]},
    "segmenters.sam.checkpoint": {"segmenters.sam.checkpoint": "other.pth"},
    "extractors.encoder.checkpoint": {"extractors.encoder.checkpoint": "other.pth"},
    "extractors.encoder.model": {"extractors.encoder.model": "vit_b"},
    "extractors.vit.checkpoint": {"extractors.vit.checkpoint": "other.pth", "extractors.vit.random_seed": None},
    "extractors.vit.model": {"extractors.vit.model": "test_vit2"},
    "extractors.vit.layers": {"extractors.vit.layers": [-2, -1]},
    "regions.default.segmenter": {"regions.default.segmenter": "graph"},
    "regions.default.superpixels": {"regions.default.superpixels": "fine"},
    "regions.graph_fine.segmenter": {"regions.graph_fine.segmenter": "sam"},
    "truth": {"truth": {"type": "coco", "file": "truth.json"}},
    "clusters.model": {"clusters.model": "model.h5"},
    "parts.teacher.segmenter": {"parts.teacher.segmenter": "sam_tiny"},
    "parts.teacher.grid": {"parts.teacher.grid": 7, "parts.student.patch_size": 8},
    "parts.teacher.keep_levels": {
        "parts.teacher.keep_levels": [1, 2],
        "parts.student.levels": 2,
        "parts.training.level_weights": [0.3, 0.7],
    },
    "parts.student.levels": {
        "parts.teacher.keep_levels": [0, 2],
        "parts.student.levels": 2,
        "parts.training.level_weights": [0.3, 0.7],
    },
    "parts.teacher.merge_levels": {"parts.teacher.merge_levels": [2.0, 4.0, 8.0]},
    "parts.embedder.model": {"parts.embedder.model": "test_byobnet"},  # of the same width
    "parts.embedder.checkpoint": {"parts.embedder.checkpoint": "other.pth"},
    "parts.student.size": {"parts.student.size": 448, "parts.student.patch_size": 8},
    "parts.student.patch_size": {"parts.student.patch_size": 8, "parts.teacher.grid": 7},
    "parts.student.dim": {"parts.student.dim": 512, "parts.student.encoder_dim": 256},
    "parts.student.encoder_dim": {"parts.student.encoder_dim": 256},
    "parts.training.level_weights": {"parts.training.level_weights": [0.2, 0.2, 0.6]},
    "parts.training.start": {"parts.training.start": "other.pth"},
    "clusters.fit_splits": {"clusters.fit_splits": ["train"]},
    "regions.graph_fine.superpixels": {"regions.graph_fine.superpixels": "slic"},
}


@dataclass(frozen=True)
class Instance:
    """A job: its stage and the names in its outputs' paths."""

    stage: str
    names: tuple[tuple[str, str], ...]


def instances(config: Config, images: list[str]) -> Iterator[Instance]:
    """Every job of the targets of a configuration."""

    def at(stage: str, **names: str) -> Instance:
        return Instance(stage, tuple(sorted(names.items())))

    yield from (at("images"), at("problems"))
    yield from (at(stage) for stage in NEEDS if stage.startswith("parts_") and stage not in PARTS_OF_AN_IMAGE)
    yield from (at(stage, image=image) for stage in PARTS_OF_AN_IMAGE for image in images)
    kinds = {name: config.regions[name] for name in config.targets.regions}
    for extractor in config.targets.extractors:
        for regions in kinds:
            yield from (
                at(stage, extractor=extractor, regions=regions) for stage in ("pooled_set", "clusters", "contact_sheet")
            )
    for labeler in config.targeted_labelers:
        for regions in kinds:
            if config.labelers[labeler].is_fitted:
                yield at("classifier", labeler=labeler, regions=regions)
            yield from (at("semantics", labeler=labeler, regions=regions, image=image) for image in images)
    for image in images:
        for segmenter in {kind.segmenter for kind in kinds.values()} - {None}:
            yield at("masks", image=image, segmenter=str(segmenter))
        for superpixels in {kind.superpixels for kind in kinds.values()} - {None}:
            yield at("superpixels", image=image, superpixels=str(superpixels))
        for regions in kinds:
            yield at("regions", image=image, regions=regions)
        for extractor in config.targets.extractors:
            yield at("features", image=image, extractor=extractor)
            for regions in kinds:
                yield from (
                    at(stage, image=image, extractor=extractor, regions=regions)
                    for stage in ("pooled", "labels", "overlay")
                )


def reads(config: Config, job: Instance, other: Instance) -> bool:
    """Whether the job has a file of the other as input: the names that both have agree."""
    if other.stage not in NEEDS[job.stage]:
        return False
    mine, theirs = dict(job.names), dict(other.names)
    if job.stage == "regions":
        kind = config.regions[mine["regions"]]
        mine |= {"segmenter": str(kind.segmenter), "superpixels": str(kind.superpixels)}
    if job.stage in ("classifier", "semantics"):
        labeler = config.labelers[mine["labeler"]]
        mine |= {"extractor": str(labeler.reads_features_of)}
    if job.stage == "semantics" == other.stage:
        # Of its own kind a job reads that of the labeler it renames.
        mine["labeler"] = str(config.labelers[mine["labeler"]].renames)
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def looks_at_the_image(job: Instance) -> bool:
    """Whether an image file is among the job's inputs."""
    names = dict(job.names)
    if job.stage == "semantics" and not BASE_CONFIG.labelers[names["labeler"]].reads_image:
        return False
    return job.stage in READS_THE_IMAGE


def stale(config: Config, images: list[str], changed: set[Instance]) -> Counter[str]:
    """Jobs per rule that are to run when those have changed: they and all that reads their files."""
    jobs = list(instances(config, images))
    found = set(changed)
    while more := {job for job in jobs if job not in found and any(reads(config, job, other) for other in found)}:
        found |= more
    return Counter(job.stage for job in found)


def options_changed(old: dict[Instance, dict], config: Config, images: list[str]) -> set[Instance]:
    """Jobs that are new, or whose recorded options are no longer those of the configuration."""
    return {job for job, options in recorded(config, images).items() if old.get(job) != options}


def recorded(config: Config, images: list[str]) -> dict[Instance, dict]:
    return {job: stage_options(config, job.stage, dict(job.names)) for job in instances(config, images)}


def leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key path, value, type) of every leaf key of a configuration, those of its variants included."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for variant, options in value.items():
                yield from leaves(options, f"{prefix}{name}.{variant}.")
        elif name != "type":
            yield prefix + name, value, field.annotation


def literals(annotation: Any) -> list[Any]:
    """All values of the Literal types in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in literals(part)]


def with_values(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the values at those key paths."""
    changed = copy.deepcopy(config)
    for path, value in values.items():
        *groups, key = path.split(".")
        place = changed
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return changed


def other_value(path: str, value: Any, annotation: Any) -> dict[str, Any]:
    """Values to set so that the key at that path has another, valid value."""
    if path in OTHER_VALUES:
        return OTHER_VALUES[path]
    guesses: list[Any] = [*literals(annotation)]
    if isinstance(value, bool):
        guesses = [not value]
    elif isinstance(value, int | float):
        guesses += [value + 1, value * 0.5, value + 0.5]
    elif isinstance(value, list):
        guesses += [[*value, *([2 * value[-1]] if isinstance(value[-1], float) else [".gif"])]]
    elif value is None:
        guesses += [64, 3, 0.5, "name"]
    for guess in guesses:
        try:
            if guess != value and load_config(with_values(BASE, {path: guess})):
                return {path: guess}
        except ConfigError:
            continue
    raise AssertionError(f"{path} = {value!r}: no other value found; add one to OTHER_VALUES")


BASE_CONFIG = load_config(BASE)


def _is_used(path: str) -> bool:
    """Whether the key is not one of a built-in variant that no target uses."""
    group, variant, *_ = [*path.split("."), ""]
    return not isinstance(getattr(BASE_CONFIG, group), dict) or variant in BASE[group]


USED = [leaf for leaf in leaves(BASE_CONFIG) if _is_used(leaf[0])]


class Matrix:
    """A folder in which everything is made, and the options it was made with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[Instance, dict] = {}

    def run(self, config: dict[str, Any], *arguments: str) -> Counter[str]:
        """Jobs per rule that snakemake lists (or, without -n, runs)."""
        configuration = self.folder / "test-config.yaml"
        configuration.write_text(yaml.safe_dump(config))
        run = snakemake(self.folder, configuration, *TARGETS, *arguments)
        assert run.code == 0, run.output
        return run.jobs()


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Matrix:
    """Everything made, as far as Snakemake can tell."""
    folder = tmp_path_factory.mktemp("reruns")
    for where in ("photos", "elsewhere"):
        for number, image in enumerate(IMAGES):
            path = folder / where / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"image %d" % number)
    (folder / "table.tsv").write_text("id\tpath\n" + "".join(f"{i}\tphotos/{i}.png\n" for i in IMAGES))
    for name in ("examples.tsv", "more_examples.tsv"):
        (folder / name).write_text(f"image\tx\ty\tclass\none\t1\t{len(name)}\tsky\n")
    (folder / "sky_tree.tsv").write_text("source\ttarget\nsky\tS\ntree\tT\n")
    shutil.copy(table_path("coco_28_to_19"), folder / "again.tsv")
    (folder / "sam.pth").write_bytes(b"weights")
    (folder / "other.pth").write_bytes(b"other weights")
    (folder / "model.h5").write_bytes(b"centres")
    matrix = Matrix(folder)
    configuration = folder / "test-config.yaml"
    configuration.write_text(yaml.safe_dump(BASE))
    plan = snakemake(folder, configuration, *TARGETS, "-n")
    assert plan.code == 0, plan.output
    for file in plan.files():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    with pytest.MonkeyPatch.context() as patch:  # what tells a moved or touched image from a changed one
        patch.chdir(folder)
        write_images(Path("results/images.tsv"), survey(find_images(BASE_CONFIG.images), BASE_CONFIG.images.reading))
    touched = snakemake(folder, configuration, *TARGETS, "--touch", "--forceall")
    assert touched.code == 0, touched.output
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        matrix.made = recorded(BASE_CONFIG, IMAGES)
    return matrix


@pytest.fixture
def matrix(everything: Matrix, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """The same, with the working directory there: a weight file's identity is found by its path."""
    monkeypatch.chdir(everything.folder)
    return everything


@pytest.fixture
def own(matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """A copy whose files may be changed."""
    mine = Matrix(tmp_path / "copy")
    shutil.copytree(matrix.folder, mine.folder, copy_function=shutil.copy2)
    mine.made = matrix.made
    monkeypatch.chdir(mine.folder)
    return mine


def test_the_jobs_of_the_base_are_those_of_the_declaration(matrix: Matrix) -> None:
    assert matrix.run(BASE, "-n", "--forceall") == Counter(job.stage for job in matrix.made)
    assert not matrix.run(BASE, "-n")


def _matrix() -> Iterator[Any]:
    """Every key; of a group that feeds one stage the first key stands for the others in a quick test run."""
    groups: set[str] = set()
    for leaf in USED:
        group = leaf[0].rpartition(".")[0]
        quick = group not in groups or group in ("images", "regions.default", "report")
        groups.add(group)
        yield pytest.param(*leaf, id=leaf[0], marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("path", "value", "annotation"), list(_matrix()))
def test_a_changed_key_remakes_what_it_feeds_and_what_reads_that(matrix: Matrix, path, value, annotation) -> None:
    changed = with_values(BASE, other_value(path, value, annotation))
    config = load_config(changed)
    fed = options_changed(matrix.made, config, IMAGES)
    found = matrix.run(changed, "-n")
    if path.startswith(FEEDS_NOTHING) and path not in SEEN_IN_PICTURES:
        assert not found
    elif path.startswith(FEEDS_PICTURES):
        assert found and not found.keys() & DATA
    else:
        assert fed, f"{path} is declared to change nothing: see regionflow.run.stages"
    if path == "images.split_from":  # the list of the images itself changes, which no option says
        fed |= {job for job in matrix.made if job.stage in ("clusters", "parts_set")}
    assert found == stale(config, IMAGES, fed)


@pytest.mark.parametrize("stage", STAGES)
def test_a_raised_version_remakes_the_stage_and_what_reads_it(matrix: Matrix, stage: str, monkeypatch) -> None:
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], version=STAGES[stage].version + 1))
    assert matrix.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES, {job for job in matrix.made if job.stage == stage})


@pytest.mark.parametrize("arguments", [["--resources", "gpu=3"], ["--resources", "gpu=0"], ["--cores", "5"]])
def test_the_command_line_s_resources_remake_nothing(matrix: Matrix, arguments: list[str]) -> None:
    assert not matrix.run(BASE, "-n", *arguments)


def test_a_changed_image_remakes_its_chain_and_the_set(own: Matrix) -> None:
    image = own.folder / "photos/one.png"
    image.write_bytes(b"another image")
    changed = {job for job in own.made if looks_at_the_image(job) and dict(job.names).get("image", "one") == "one"}
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES, changed)


def test_a_touched_image_remakes_nothing(own: Matrix) -> None:
    os.utime(own.folder / "photos/one.png")
    assert not own.run(BASE, "-n")


def test_an_older_file_in_an_image_s_place_is_seen(own: Matrix) -> None:
    image = own.folder / "photos/one.png"
    image.write_bytes(b"another image")
    os.utime(image, (1_000_000_000, 1_000_000_000))
    changed = {job for job in own.made if looks_at_the_image(job) and dict(job.names).get("image", "one") == "one"}
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES, changed)
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES, changed)  # and not forgotten


def test_a_changed_file_of_the_same_size_and_time_is_seen(own: Matrix) -> None:
    image = own.folder / "photos/one.png"
    own.run(BASE, "-n")
    stat = image.stat()
    image.write_bytes(b"Image 0")
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert image.stat().st_size == stat.st_size
    assert own.run(BASE, "-n")["masks"] == 2


def test_the_same_images_at_another_place_remake_their_tables_alone(own: Matrix) -> None:
    (own.folder / "photos").rename(own.folder / "moved")
    moved = with_values(BASE, {"images.dir": "moved"})
    assert set(own.run(moved, "-n")) == {"images", "problems", "contact_sheet", "parts_agreement", "parts_page"}
    (own.folder / "moved/one.png").write_bytes(b"another image")
    assert own.run(moved, "-n")["masks"] == 2


def test_an_image_that_comes_and_goes_is_compared_with_what_it_was(own: Matrix) -> None:
    image = own.folder / "photos/one.png"
    content = image.read_bytes()
    image.unlink()
    own.run(BASE, "-n")
    image.write_bytes(content)
    assert not own.run(BASE, "-n")
    image.unlink()
    image.write_bytes(b"another image")
    assert own.run(BASE, "-n")["masks"] == 2


def test_an_added_image_makes_its_chain_and_the_set(own: Matrix) -> None:
    (own.folder / "photos/three.png").write_bytes(b"a third image")
    images = [*IMAGES, "three"]
    changed = options_changed(own.made, BASE_CONFIG, images) | {j for j in own.made if j.stage in READS_THE_SET}
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, images, changed)


def test_a_removed_image_remakes_the_set(own: Matrix) -> None:
    (own.folder / "photos/one.png").unlink()
    changed = {job for job in own.made if job.stage in READS_THE_SET}
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES[1:], changed)


def test_replaced_weights_remake_what_they_make(own: Matrix) -> None:
    (own.folder / "sam.pth").write_bytes(b"other weights of the same name")
    changed = {
        job
        for job in own.made
        if job.stage == "parts_masks"
        or (job.stage in READS_WEIGHTS and {"sam", "encoder", "seem"} & set(dict(job.names).values()))
    }
    assert own.run(BASE, "-n") == stale(BASE_CONFIG, IMAGES, changed)


def test_touched_weights_remake_nothing(own: Matrix) -> None:
    os.utime(own.folder / "sam.pth")
    assert not own.run(BASE, "-n")


def test_an_added_example_remakes_the_fit_and_the_names_only(own: Matrix) -> None:
    with (own.folder / "examples.tsv").open("a") as file:
        file.write("one\t5\t5\ttree\n")
    changed = {job for job in own.made if job.stage == "classifier"}
    expected = stale(BASE_CONFIG, IMAGES, changed)
    assert expected.keys() == {"classifier", "semantics", "overlay", "contact_sheet"}
    assert own.run(BASE, "-n") == expected


def test_touched_examples_remake_nothing(own: Matrix) -> None:
    os.utime(own.folder / "examples.tsv")
    assert not own.run(BASE, "-n")
