"""What each stage declares: an option, a file or a weight that changes its output is in it, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regionflow.base.files import sha256_of
from regionflow.config.types import Config
from regionflow.run.stages import STAGES, examples_sha256, model_path, runtime, stage_options
from regionflow.semantics.shipped import table_path
from regionflow.weights.published import EMBEDDED

ROOT = Path(__file__).parents[3]
NAMES = {
    **{"segmenter": "tiny", "superpixels": "slic", "regions": "default", "extractor": "daisy_lab", "labeler": "few"},
    "image": "a",
}
READ = {"masks", "features", "superpixels", "overlay", "page", "report_index", "evaluation_page", "coco_photo"}
READ |= {"images", "parts_masks", "parts_targets", "parts_set", "parts_islands", "parts_page"}
TRUTH = {"mask_scores", "region_scores", "cluster_scores", "semantics_scores", "evaluation_page"}
FITTED = {"labels", "contact_sheet", "cluster_scores", "classes"}
NAMED = {"coco", "metadata", "contact_sheet", "classes"}


def config(folder: Path, **changed: Any) -> Config:
    """A configuration in which every stage has something to declare; `changed` are whole keys."""
    values: dict[str, Any] = {
        "images": {"dir": str(folder / "photos")},
        "segmenters": {"tiny": {"type": "sam", "model": "sam_tiny"}, "drawn": {"type": "from_coco", "file": "d.json"}},
        "regions": {"default": {"segmenter": "tiny"}},
        "labelers": {"few": labeler(folder)},
        "clusters": {"k": [5, 3], "model": str(folder / "{extractor}-{regions}.h5")},
        "truth": {"type": "coco", "file": "truth.json"},
        "exports": {"class_list": str(folder / "classes.csv")},
        "parts": parts(folder),
    }
    return Config.model_validate({**values, **changed})


def labeler(folder: Path, **changed: Any) -> dict[str, Any]:
    files = {"examples": str(folder / "examples.tsv"), "tables": [str(folder / "table.tsv"), "coco_28_to_19"]}
    return {"type": "examples", "extractor": "daisy_lab", **files, **changed}


def parts(folder: Path, **changed: Any) -> dict[str, Any]:
    files = {"embedder": {"checkpoint": str(folder / "embedder.pt")}, "training": {"start": str(folder / "start.pt")}}
    return {"teacher": {"segmenter": "tiny"}, **files, **changed}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("examples.tsv", "table.tsv", "daisy_lab-default.h5", "classes.csv", "embedder.pt", "start.pt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def declared(config: Config) -> dict[str, str]:
    """What each stage declares, as the JSON that Snakemake compares."""
    return {stage: json.dumps(stage_options(config, stage, NAMES), sort_keys=True) for stage in STAGES}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda f: {"images": {"dir": str(f / "photos"), "max_megapixels": 5.0}}, READ),
        (lambda f: {"images": {"dir": str(f / "photos"), "bands": [1]}}, READ),
        (lambda f: {"images": {"dir": str(f / "photos"), "scale_16bit": "percentile"}}, READ),
        (lambda f: {"images": {"dir": str(f / "photos"), "max_seconds": 5.0}}, READ),
        (lambda f: {"images": {"dir": str(f / "others")}}, {"images", "problems"}),
        (lambda f: {"images": {"dir": str(f / "photos"), "on_bad_image": "fail"}}, set()),
        (
            lambda f: {"segmenters": {"tiny": {"type": "sam", "model": "sam_tiny", "points_per_side": 8}}},
            {"masks", "parts_masks"},
        ),
        (lambda f: {"superpixels": {"slic": {"n_segments": 9}}}, {"superpixels"}),
        (lambda f: {"superpixels": {"another": {"n_segments": 9}}}, set()),
        (lambda f: {"regions": {"default": {"segmenter": "tiny", "min_pixels": 9}}}, {"regions"}),
        (lambda f: {"regions": {"default": {"segmenter": "graph"}}}, {"regions", "page", "report_index"}),
        (lambda f: {"pooling": {"method": "max"}}, {"pooled"}),
        (lambda f: {"clusters": {"k": [5, 4], "model": str(f / "{extractor}-{regions}.h5")}}, set()),
        (lambda f: {"clusters": {"k": [3, 5], "model": str(f / "{extractor}-{regions}.h5")}}, {"clusters"}),
        (lambda f: {"clusters": {"k": [5, 3], "seed": 1, "model": str(f / "{extractor}-{regions}.h5")}}, {"clusters"}),
        (lambda f: {"clusters": {"k": [5, 3]}}, FITTED),
        (lambda f: {"labelers": {"few": labeler(f, c=3.0)}}, {"classifier"}),
        (lambda f: {"labelers": {"few": labeler(f, min_score=0.5)}}, {"semantics"}),
        (lambda f: {"labelers": {"few": labeler(f, tables=[str(f / "table.tsv")])}}, {"semantics"}),
        (lambda f: {"targets": {"labelers": ["few"]}}, {"page", "report_index"}),
        (lambda f: {"targets": {"labelers": ["few", "sample_photos"]}}, {"page", "report_index", "overlay"}),
        (lambda f: {"targets": {"regions": ["default", "sam_slic"]}}, {"report_index"}),
        (lambda f: {"targets": {"extractors": ["daisy_lab", "dinov2_vits14"]}}, {"report_index"}),
        (lambda f: {"truth": {"type": "coco", "file": "other.json"}}, TRUTH),
        (lambda f: {"truth": None}, TRUTH | {"report_index"}),
        (lambda f: {"evaluate": {"rank": "order"}}, {"mask_scores", "region_scores"}),
        (lambda f: {"report": {"max_side": 99}}, {"overlay"}),
        (lambda f: {"report": {"contact_sheet_images": 9}}, {"contact_sheet"}),
        *((lambda f, key=key: {"report": {f"page_{key}": 70}}, {"page"}) for key in ("images", "side", "crops")),
        *((lambda f, key=key: {"report": {f"page_{key}": 70}}, {"page"}) for key in ("regions", "features")),
        (
            lambda f: {"exports": {"class_list": str(f / "classes.csv"), "coco": {"images": "copy"}}},
            {"coco", "metadata", "coco_photo", "named_coco", "named_panoptic"},
        ),
        (
            lambda f: {"exports": {"class_list": str(f / "classes.csv"), "coco": {"absolute_paths": True}}},
            {"coco", "metadata", "named_coco", "named_panoptic"},
        ),
        (lambda f: {"exports": {"class_list": None}}, NAMED),
        (lambda f: {"exports": {"class_list": str(f / "classes.csv"), "tables": ["csv", "parquet"]}}, set()),
        (
            lambda f: {"parts": parts(f, teacher={"segmenter": "tiny", "duplicate_iou": 0.9})},
            {"parts_masks"},
        ),
        (lambda f: {"parts": parts(f, embedder={"checkpoint": None})}, {"parts_targets"}),
        (lambda f: {"parts": parts(f, student={"attend_self": True})}, {"parts_model"}),
        (
            lambda f: {"parts": parts(f, teacher={"segmenter": "tiny", "grid": 7}, student={"size": 112})},
            {"parts_masks", "parts_model"},
        ),
        (lambda f: {"parts": parts(f, training={"start": str(f / "start.pt"), "epochs": 2})}, {"parts_model"}),
        *(
            (
                lambda f, held_out=held_out: {"parts": parts(f, training={"start": str(f / "start.pt"), **held_out})},
                {"parts_model", "parts_probe", "parts_test"},
            )
            for held_out in ({"val_fraction": 0.5}, {"seed": 4})
        ),
        (lambda f: {"parts": parts(f, probe={"epochs": 2})}, {"parts_probe"}),
        (lambda f: {"runtime": {"device": "cpu", "warm": False, "points_per_batch": 3}}, set()),
    ],
)
def test_a_changed_key_changes_what_depends_on_it(
    folder: Path, change: Callable[[Path], dict[str, Any]], stages: set[str]
) -> None:
    before, after = declared(config(folder)), declared(config(folder, **change(folder)))
    assert {stage for stage in STAGES if before[stage] != after[stage]} == stages


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("examples.tsv", {"classifier"}),
        ("table.tsv", {"semantics"}),
        ("daisy_lab-default.h5", FITTED),
        ("classes.csv", NAMED),
        ("embedder.pt", {"parts_targets"}),
        ("start.pt", {"parts_model"}),
    ],
)
def test_a_changed_or_lost_file_changes_what_is_made_from_it(folder: Path, file: str, stages: set[str]) -> None:
    before = declared(config(folder))
    (folder / file).write_text("something of another length")
    changed = declared(config(folder))
    (folder / file).unlink()
    lost = declared(config(folder))
    for one, other in ((before, changed), (changed, lost), (before, lost)):
        assert {stage for stage in STAGES if one[stage] != other[stage]} == stages


def test_nothing_is_declared_of_a_file_that_is_not_named(folder: Path) -> None:
    plain = config(folder, exports={}, clusters={}, parts=parts(folder, embedder={}, training={}))
    assert stage_options(plain, "coco", NAMES)["class_list_sha256"] is None
    assert stage_options(plain, "labels", NAMES) == {"stage_version": STAGES["labels"].version, "model_sha256": None}
    assert stage_options(plain, "parts_targets", NAMES)["weights_sha256"] is None
    assert stage_options(plain, "parts_model", NAMES)["start_sha256"] is None


def test_what_is_declared_names_the_content_of_weights_and_tables(folder: Path) -> None:
    ours = config(folder)
    assert stage_options(ours, "masks", NAMES)["weights_sha256"] == sha256_of(EMBEDDED)
    assert stage_options(ours, "features", NAMES)["weights_sha256"] is None
    tables = [sha256_of(folder / "table.tsv"), sha256_of(table_path("coco_28_to_19"))]
    assert stage_options(ours, "semantics", NAMES)["tables_sha256"] == tables
    assert stage_options(ours, "labels", NAMES)["model_sha256"] == sha256_of(folder / "daisy_lab-default.h5")
    assert stage_options(ours, "coco", NAMES)["class_list_sha256"] == sha256_of(folder / "classes.csv")
    (folder / "table.tsv").unlink()
    assert stage_options(ours, "semantics", NAMES)["tables_sha256"] == [False, tables[1]]


def test_a_fitted_labeler_declares_what_is_done_with_its_scores_and_its_classifier_the_rest(folder: Path) -> None:
    ours = config(folder)
    used, fitted = (stage_options(ours, stage, NAMES)["labeler"].keys() for stage in ("semantics", "classifier"))
    assert used & fitted == {"type", "examples", "extractor"}
    assert used | fitted == ours.labelers["few"].canonical().keys()
    assert {"min_score", "tables"} <= used and {"c", "shrink", "suggestions"} <= fitted


def test_only_a_labeler_that_looks_at_images_is_made_again_where_they_are_read_otherwise(folder: Path) -> None:
    looks = {"type": "transformers", "model": "some/model"}
    ours = config(folder, labelers={"few": labeler(folder), "looks": looks})
    assert "reading" not in stage_options(ours, "semantics", NAMES)
    seen = stage_options(ours, "semantics", {**NAMES, "labeler": "looks"})
    assert seen["reading"] == ours.images.reading
    assert seen["labeler"] == ours.labelers["looks"].canonical()


def test_drawn_masks_declare_what_the_file_says_of_their_image(folder: Path) -> None:
    assert "content_sha256" not in stage_options(config(folder), "masks", NAMES)
    drawn = {**NAMES, "segmenter": "drawn"}
    assert "content_sha256" not in stage_options(config(folder), "masks", drawn)  # there is no such file
    images = [{"id": i, "file_name": f"{name}.png", "height": 4, "width": 5} for i, name in enumerate("ab")]
    note = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[0, 0, 3, 0, 3, 3]]}
    content = {"images": images, "annotations": [note], "categories": [{"id": 1, "name": "x"}]}
    (folder / "d.json").write_text(json.dumps(content))
    of_a, of_b = (stage_options(config(folder), "masks", {**drawn, "image": i})["content_sha256"] for i in "ab")
    content["annotations"] = []
    (folder / "d.json").write_text(json.dumps(content) + " ")
    now_a, now_b = (stage_options(config(folder), "masks", {**drawn, "image": i})["content_sha256"] for i in "ab")
    assert of_a == now_a and of_b != now_b


def test_the_fit_of_a_number_of_clusters_is_that_of_its_path(folder: Path) -> None:
    ours = config(folder)
    assert stage_options(ours, "clusters", NAMES)["clusters"] == {**ours.clusters.canonical(), "k": 5, "model": None}
    assert stage_options(ours, "clusters", {**NAMES, "k": "3"})["clusters"]["k"] == 3


def test_frozen_centres_are_those_of_the_extractor_and_the_regions(folder: Path) -> None:
    assert model_path(config(folder), NAMES) == folder / "daisy_lab-default.h5"
    assert model_path(config(folder, clusters={}), NAMES) is None


def test_label_maps_in_a_column_of_the_table_declare_the_table(folder: Path) -> None:
    table = {"images": {"table": "images.tsv"}}
    in_table = config(folder, truth={"type": "label_maps", "column": "labels"}, **table)
    in_folder = config(folder, truth={"type": "label_maps", "dir": "labels"}, **table)
    assert stage_options(in_table, "mask_scores", NAMES)["image_table"] == "images.tsv"
    assert stage_options(in_folder, "mask_scores", NAMES)["image_table"] is None


def test_the_index_links_the_page_about_ground_truth_where_there_is_some(folder: Path) -> None:
    targets = {"extractors": ["daisy_lab", "dinov2_vits14"], "regions": ["default", "sam_slic"]}
    index = stage_options(config(folder, targets=targets), "report_index", NAMES)
    assert index["links"] == {"Evaluation": "evaluation.html"}
    pairs = [(variant["extractor"], variant["regions"], variant["segmenter"]) for variant in index["variants"]]
    of_default = [(extractor, "default", ["tiny"]) for extractor in targets["extractors"]]
    assert pairs == [*of_default, *((extractor, "sam_slic", ["sam_vit_h"]) for extractor in targets["extractors"])]
    assert stage_options(config(folder, truth=None), "report_index", NAMES)["links"] == {}
    assert stage_options(config(folder, truth=None), "evaluation_page", NAMES).keys() == {"stage_version", "reading"}


def test_examples_are_known_by_their_names_and_content(tmp_path: Path) -> None:
    for name in ("maps/b/2.png", "maps/a.png", "maps/read.me"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    expected = {f"maps/{name}": sha256_of(tmp_path / "maps" / name) for name in ("a.png", "b/2.png")}
    assert examples_sha256(tmp_path / "maps") == expected
    assert list(examples_sha256(tmp_path / "maps")) == ["maps/a.png", "maps/b/2.png"]
    assert examples_sha256(tmp_path / "maps/a.png") == {"a.png": expected["maps/a.png"]}
    assert examples_sha256(tmp_path / "nothing") == {}


def test_who_wants_a_card(folder: Path) -> None:
    ours = config(folder)
    wants = {stage for stage in STAGES if STAGES[stage].uses_card(ours, NAMES)}
    assert wants == {"masks", "parts_masks", "parts_targets", "parts_model", "parts_probe", "parts_test"}
    other = {**NAMES, "segmenter": "merge_tree", "extractor": "dinov2_vits14", "labeler": "seem"}
    assert {s for s in STAGES if STAGES[s].uses_card(ours, other)} == wants - {"masks"} | {"features", "semantics"}
    of_tree = config(folder, parts=parts(folder, teacher={"segmenter": "merge_tree"}))
    assert not STAGES["parts_masks"].uses_card(of_tree, NAMES)
    may = {stage for stage in STAGES if STAGES[stage].may_use_card}
    assert may == wants | {"features", "semantics"}


def test_the_weights_of_a_job_are_those_of_its_variant(folder: Path) -> None:
    ours = config(folder)
    assert STAGES["masks"].weights(ours, NAMES) == EMBEDDED
    assert STAGES["masks"].weights(ours, {**NAMES, "segmenter": "sam_vit_b"}) == Path("weights/sam_vit_b_01ec64.pth")
    assert STAGES["features"].weights(ours, NAMES) is None
    assert STAGES["superpixels"].weights(ours, NAMES) is None
    assert STAGES["regions"].weights(ours, NAMES) is None
    assert STAGES["images"].weights(ours, NAMES) is None


def test_a_stage_has_the_version_of_its_recorded_outputs(folder: Path) -> None:
    """tests/workflow/stage_outputs.json says what each version writes: neither may change without the other."""
    recorded = json.loads((ROOT / "tests/workflow/stage_outputs.json").read_text())
    versions = {name: stage.version for name, stage in STAGES.items()}
    unrecorded = {"weights": 1, "parts_probe": 1, "parts_test": 2}
    assert versions == {name: record["version"] for name, record in recorded.items()} | unrecorded
    for name in STAGES:
        assert stage_options(config(folder), name, NAMES)["stage_version"] == versions[name]


def test_a_job_is_told_of_unreadable_images_beside_how_to_work(folder: Path) -> None:
    ours = config(folder, runtime={"points_per_batch": 7}, images={"dir": "x", "on_bad_image": "fail"})
    assert runtime(ours) == {**ours.runtime.canonical(), "on_bad_image": "fail"}
