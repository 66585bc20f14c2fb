"""`snakemake evaluate`: scores of every variant against ground truth, and what a change makes stale."""

import csv
import json
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.scenes import photo, save_photos
from helpers.workflow import ROOT, Workspace
from regionflow.evaluate.masks import SetScores, score_image
from regionflow.evaluate.options import LabelMapTruth
from regionflow.evaluate.truth import open_truth
from regionflow.formats.evaluation import read_scores
from regionflow.formats.labels import read_label_map
from regionflow.formats.regions import read_regions

NAMES = ["train/one.png", "train/two.png", "val/three.png", "val/untold.png"]
CLASSES = ["ground", "dark", "bright"]
CONFIG = {
    "images": {"dir": "photos", "split_from": "folder"},
    "regions": {"trees": {"segmenter": "merge_tree", "superpixels": None}},
    "targets": {"regions": ["trees"], "labelers": ["few"]},
    "labelers": {"few": {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab"}},
    "clusters": {"k": 4},
    "truth": {"type": "label_maps", "dir": "truth", "values": "classes", "classes": "classes.csv"},
}


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """True classes [H, W] by brightness, and 255 in a corner."""
    grey = pixels.mean(axis=2)
    classes = np.where(grey < 70, 1, np.where(grey > 170, 2, 0)).astype(np.uint8)
    classes[:10, :10] = 255
    return classes


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Workspace:
    """Three photos with ground truth, one without, and one that cannot be read."""
    workspace = Workspace(tmp_path_factory.mktemp("evaluate"), CONFIG)
    save_photos(workspace.path("photos"), NAMES)
    workspace.path("photos/val/broken.png").write_bytes(b"no image")
    for seed, name in enumerate(NAMES[:3]):
        truth = workspace.path("truth") / name
        truth.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(classes_of(photo(seed))).save(truth)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(workspace.path("truth/of_no_image.png"))
    rows = "".join(f"{value},{name}\n" for value, name in enumerate(CLASSES))
    workspace.path("classes.csv").write_text("value,name\n" + rows)
    points = []
    for seed, name in enumerate(NAMES[:2]):
        classes = classes_of(photo(seed))
        for value, label in enumerate(CLASSES):
            for y, x in np.argwhere(classes == value)[:: max(1, (classes == value).sum() // 3)]:
                points.append(f"{name.removesuffix('.png')}\t{x}\t{y}\t{label}\n")
    workspace.path("examples.tsv").write_text("image\tx\ty\tclass\n" + "".join(points))
    workspace.snakemake("evaluate")
    return workspace


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def truth_of(workspace: Workspace):
    options = LabelMapTruth(
        dir=str(workspace.path("truth")), values="classes", classes=str(workspace.path("classes.csv"))
    )
    return open_truth(options, [name.removesuffix(".png") for name in NAMES[:3]])


def test_the_table_has_the_scores_of_the_library_for_the_set_and_each_split(evaluated):
    truth, total, val = truth_of(evaluated), SetScores(), SetScores()
    for name in truth.loaders:
        if name in truth and name.startswith(("train", "val")):
            file = read_regions(evaluated.path(f"results/masks/merge_tree/{name}.json"))
            scores = score_image(file.annotations, truth.image(name, *file.size))
            total.add(scores)
            if name.startswith("val"):
                val.add(scores)
    every, train, of_val = table(evaluated.path("results/evaluation/masks.tsv"))
    assert [row["split"] for row in (every, train, of_val)] == ["all", "train", "val"]
    assert (every["segmenter"], every["images"], of_val["images"]) == ("merge_tree", "3", "1")
    for row, expected in ((every, total.summary()), (of_val, val.summary())):
        for key in ("mean_best_iou", "ar_100", "boundary_f", "masks_per_region"):
            assert float(row[key]) == pytest.approx(expected[key], abs=1e-6)
        assert 0 < float(row["seconds_per_image"]) < 60
    images = table(evaluated.path("results/evaluation/masks/merge_tree.tsv"))
    assert [row["image"] for row in images] == ["train/one", "train/two", "val/three"]


def test_the_report_has_a_page_about_it(evaluated):
    evaluated.snakemake("results/report/evaluation.html")
    text = evaluated.path("results/report/evaluation.html").read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [table["name"] for table in data["tables"]] == ["masks", "regions", "clusters", "semantics"]
    (kind,) = data["kinds"]
    assert {one["image"] for one in kind["worst"]} == {"train/one", "train/two", "val/three"}
    scores = {
        row["image"]: float(row["mean_best_iou"])
        for row in table(evaluated.path("results/evaluation/regions/trees.tsv"))
    }
    assert {one["image"]: one["mean_best_iou"] for one in kind["worst"]} == scores


def test_what_does_not_match_is_told_by_name(evaluated):
    scores = read_scores(evaluated.path("results/evaluation/regions/trees.json"))
    assert (scores.missing, scores.extra) == (["val/broken", "val/untold"], ["of_no_image"])
    log = evaluated.path("logs/region_scores/trees.log").read_text()
    assert "2 images without ground truth: val/broken, val/untold" in log
    assert "1 ground truth without image: of_no_image" in log


def test_clusters_and_class_names_are_measured_by_pixel(evaluated):
    (clusters, *_) = table(evaluated.path("results/evaluation/clusters.tsv"))
    assert 0 < float(clusters["hungarian_miou"]) <= float(clusters["hungarian_accuracy"]) <= 1
    (semantics, *_) = table(evaluated.path("results/evaluation/semantics.tsv"))
    right = known = 0
    for name in NAMES[:3]:
        image = name.removesuffix(".png")
        content = json.loads(evaluated.path(f"results/semantics/few/trees/{image}.json").read_text())
        names = ["", *content["classes"]]
        guess = read_label_map(evaluated.path(f"results/semantics/few/trees/{image}.png"))
        true = np.array(Image.open(evaluated.path("truth") / name))
        for value, label in enumerate(CLASSES):
            right += (np.array([n == label for n in names])[guess] & (true == value)).sum()
        known += (true != 255).sum()
    assert float(semantics["accuracy"]) == pytest.approx(right / known, abs=1e-6)
    assert 0 < float(semantics["pq"]) < 1
    per_class = read_scores(evaluated.path("results/evaluation/semantics/few/trees.json")).classes
    assert [row["class"] for row in per_class] == CLASSES


def rerun(workspace: Workspace, tmp_path: Path, **changes):
    """Jobs of a dry run with a changed configuration, in a copy of the folder."""
    copy = Workspace(tmp_path / "copy", {**CONFIG, **changes})
    shutil.copytree(workspace.folder, copy.folder, dirs_exist_ok=True, copy_function=shutil.copy2)
    return copy.snakemake("evaluate", "-n").jobs()


def test_a_variant_added_and_a_changed_rank_make_only_their_own_scores_again(evaluated, tmp_path):
    assert not rerun(evaluated, tmp_path / "0")
    ranked = rerun(evaluated, tmp_path / "1", evaluate={"rank": "mean_of_scores"})
    assert ranked == {"mask_scores": 1, "region_scores": 1, "evaluation": 1, "evaluate": 1}
    two = {**CONFIG["regions"], "graphs": {"segmenter": "graph", "superpixels": None}}
    added = rerun(evaluated, tmp_path / "2", regions=two, targets={"regions": ["trees", "graphs"], "labelers": ["few"]})
    assert {rule: added[rule] for rule in ("masks", "mask_scores", "region_scores", "cluster_scores")} == {
        "masks": 5, "mask_scores": 1, "region_scores": 1, "cluster_scores": 1,
    }  # fmt: skip
    assert "features" not in added


def test_the_recipe_of_the_docs_makes_one_table_and_shares_what_can_be_shared(evaluated, tmp_path):
    page = (ROOT / "docs/evaluation.md").read_text().split("## What should I use on my data?")[1]
    recipe = textwrap.dedent(page.split("\n\n")[2])
    workspace = Workspace(tmp_path, {**CONFIG, "labelers": {}, **yaml.safe_load(recipe)})
    for name in ("photos", "truth"):
        shutil.copytree(evaluated.path(name), workspace.path(name))
    shutil.copy(evaluated.path("classes.csv"), workspace.path("classes.csv"))
    jobs = workspace.snakemake("evaluate").jobs()
    # Five photos, one of them unreadable: three segmenters, one extractor, one SLIC, however many kinds of region.
    assert (jobs["masks"], jobs["features"], jobs["superpixels"], jobs["regions"]) == (15, 5, 5, 20)
    regions = {row["regions"] for row in table(workspace.path("results/evaluation/regions.tsv"))}
    assert regions == {"trees", "many_trees", "graphs", "filled"}
    assert {row["segmenter"] for row in table(workspace.path("results/evaluation/masks.tsv"))} == {
        "merge_tree", "many", "graph",
    }  # fmt: skip
    assert len(table(workspace.path("results/evaluation/clusters.tsv"))) == 3 * 4  # all, train, val


def test_without_ground_truth_it_says_so(tmp_path):
    workspace = Workspace(tmp_path, {**CONFIG, "truth": None, "labelers": {}, "targets": {"regions": ["trees"]}})
    save_photos(workspace.path("photos"), NAMES[:2])
    run = workspace.snakemake("evaluate", "-n", ok=False)
    assert run.code and "truth: names no ground truth to evaluate against" in run.output


@pytest.mark.slow
def test_in_shards_the_scores_are_the_same(evaluated: Workspace, tmp_path: Path) -> None:
    shards = Workspace(tmp_path / "shards", {**evaluated.config, "runtime": {"shard_images": 2}})
    for name in ("photos", "truth"):
        shutil.copytree(evaluated.path(name), shards.path(name))
    for name in ("classes.csv", "examples.tsv"):
        shutil.copy2(evaluated.path(name), shards.path(name))
    shards.snakemake("evaluate")
    scores, expected = (
        {path.relative_to(w.path("results")): path.read_bytes() for path in w.path("results/evaluation").rglob("*.*")}
        for w in (shards, evaluated)
    )
    side_by_side = Path("evaluation/masks.tsv")  # has the seconds that masks took
    assert {**scores, side_by_side: b""} == {**expected, side_by_side: b""}
    rows, expected_rows = (
        [{k: v for k, v in row.items() if "seconds" not in k} for row in table(w.path(f"results/{side_by_side}"))]
        for w in (shards, evaluated)
    )
    assert rows == expected_rows
    assert "Nothing to be done" in shards.snakemake("-n", "evaluate").output
