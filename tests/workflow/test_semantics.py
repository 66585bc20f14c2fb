"""Class names from a few examples: the files, what is exported of them, however they are made."""

import contextlib
import csv
import io
import json
import shutil
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import regionflow
from helpers.scenes import ODD
from helpers.workflow import Workspace
from regionflow.formats.classifiers import read_classifier, read_validation
from regionflow.formats.label_studio import from_brush
from regionflow.formats.labels import read_label_map
from regionflow.formats.regions import read_regions
from regionflow.formats.semantics import read_semantics
from regionflow.semantics.drawn_examples import image_of, read_drawn

GOOD = ["one", ODD, "wide"]
POINTS = [("one", 5, 5, "ground"), ("one", 60, 48, "disc"), (ODD, 5, 90, "ground"), (ODD, 100, 20, "disc")]
LABELERS = {
    "few": {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab", "suggestions": 5},
    "short": {"type": "renamed", "labeler": "few", "tables": ["initials.tsv"]},
}
NAMED = "results/named/few/default"


def write_examples(workspace: Workspace, points) -> None:
    lines = ["image\tx\ty\tclass", *("\t".join(map(str, point)) for point in points)]
    workspace.path("examples.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def copy_of(finished, folder, **runtime) -> Workspace:
    original, _ = finished
    shutil.copytree(original.folder, folder)
    config = {**original.config, "labelers": LABELERS, "targets": {"labelers": ["few", "short"]}, "runtime": runtime}
    workspace = Workspace(folder, config)
    write_examples(workspace, POINTS)
    workspace.path("initials.tsv").write_text("source\ttarget\tisthing\nground\tG\t0\ndisc\tD\t1\n", encoding="utf-8")
    return workspace


@pytest.fixture(scope="module")
def named(finished, tmp_path_factory) -> Workspace:
    """The finished run with class names, and everything exported."""
    workspace = copy_of(finished, tmp_path_factory.mktemp("named") / "copy")
    workspace.snakemake("all", "export", cores=1)
    return workspace


def test_every_region_has_a_class_and_an_unreadable_image_has_valid_empty_files(named):
    for image in GOOD:
        semantics = read_semantics(named.path(f"results/semantics/few/default/{image}.json"))
        regions = json.loads(named.path(f"results/regions/default/{image}.json").read_text())["annotations"]
        assert [region.region_id for region in semantics.regions] == [region["region_id"] for region in regions]
        assert semantics.classes == ["disc", "ground"]
        labels = read_label_map(named.path(f"results/semantics/few/default/{image}.png"))
        assert labels.shape == (96, 120) and set(np.unique(labels)) <= {0, 1, 2}
        assert semantics.shares["none"] == pytest.approx((labels == 0).mean(), abs=1e-6)
    broken = read_semantics(named.path("results/semantics/few/default/broken.json"))
    assert broken.regions == [] and broken.image.error and broken.image.height == 0


def test_the_classifier_says_how_good_it_is_and_what_to_label_next(named):
    path = named.path("results/classifiers/few/default.h5")
    assert read_classifier(path).names == ["disc", "ground"]
    assert read_validation(path).guessed == 4
    with named.path("results/classifiers/few/default.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 5
    for row in rows:
        regions = json.loads(named.path(f"results/regions/default/{row['image']}.json").read_text())["annotations"]
        (region,) = (r for r in regions if r["region_id"] == row["region_id"])
        x, y, w, h = region["bbox"]
        assert x <= int(row["x"]) < x + w and y <= int(row["y"]) < y + h
        assert row["class"] in ("disc", "ground")
    # A list of suggestions is itself a file of examples.
    shutil.copy(named.path("results/classifiers/few/default.tsv"), named.path("suggested.tsv"))
    labelers = {**LABELERS, "few": {**LABELERS["few"], "examples": "suggested.tsv"}}
    again = Workspace(named.folder, {**named.config, "labelers": labelers})
    assert again.snakemake("-n").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
def test_how_the_work_is_done_changes_nothing(named, finished, tmp_path, warm):
    """The fixture's run is warm and has one slot; this one has four, cold and warm."""
    cold = copy_of(finished, tmp_path / "cold", warm=warm)
    cold.snakemake(cores=4)
    files = [f"results/semantics/few/default/{image}.{end}" for image in GOOD for end in ("json", "png")]
    for file in [*files, "results/classifiers/few/default.tsv"]:
        assert cold.path(file).read_bytes() == named.path(file).read_bytes()


def test_pycocotools_loads_the_regions_with_their_classes(named):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(named.path(f"{NAMED}/coco.json")))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["disc", "ground"]
    for number, image in enumerate(GOOD, start=1):
        labels = {
            region.region_id: region.value
            for region in read_semantics(named.path(f"results/semantics/few/default/{image}.json")).regions
        }
        found = coco.loadAnns(coco.getAnnIds(imgIds=number))
        assert {a["region_id"]: a["category_id"] for a in found} == {r: v for r, v in labels.items() if v}
        assert all(a["area"] == coco.annToMask(a).sum() for a in found)


@pytest.mark.parametrize("labeler", ["few", "short"])
def test_panoptic_segments_are_those_of_the_png_and_lie_in_one_class_each(named, labeler):
    """panopticapi's rules: ids of a PNG are those of its record, every segment's area and box are its pixels', and of
    stuff an image has one segment at most. Where nothing tells things from stuff every class is a thing."""
    content = json.loads(named.path(f"results/named/{labeler}/default/panoptic.json").read_text())
    categories = {c["id"]: (c["name"], c["isthing"]) for c in content["categories"]}
    assert categories == ({1: ("disc", 1), 2: ("ground", 1)} if labeler == "few" else {1: ("G", 0), 2: ("D", 1)})
    several = []
    for annotation, image in zip(content["annotations"], GOOD, strict=True):
        assert annotation["file_name"] == f"{image}.png"
        png = named.path(f"results/named/{labeler}/default/panoptic/{image}.png")
        pixels = np.asarray(Image.open(png).convert("RGB")).astype(np.int64)
        ids = pixels @ [1, 256, 256**2]
        labels = read_label_map(named.path(f"results/semantics/{labeler}/default/{image}.png"))
        of_class = Counter(s["category_id"] for s in annotation["segments_info"])
        several.append(max(of_class.values()))
        assert all(count == 1 or categories[c][1] for c, count in of_class.items())
        assert {s["id"] for s in annotation["segments_info"]} == set(np.unique(ids)) - {0}
        for segment in annotation["segments_info"]:
            inside = ids == segment["id"]
            assert segment["area"] == inside.sum() and set(labels[inside]) == {segment["category_id"]}
            rows, columns = np.nonzero(inside)
            x, y, w, h = segment["bbox"]
            assert (x, y, x + w - 1, y + h - 1) == (columns.min(), rows.min(), columns.max(), rows.max())
        assert ((ids == 0) == (labels == 0)).all()
    assert max(several) > 1


def test_the_exports_name_the_region_that_each_lies_in(named):
    with regionflow.load(named.path("results")) as regions:
        parent = {regions.region_id[row]: regions.parent[row] for row in range(len(regions))}
        ids = list(regions.region_id)
    expected = {name: ids[row] if row >= 0 else None for name, row in parent.items()}
    coco = json.loads(named.path(f"{NAMED}/coco.json").read_text())["annotations"]
    assert any(a["parent"] for a in coco) and {a["region_id"]: a["parent"] for a in coco}.items() <= expected.items()
    with named.path(f"{NAMED}/regions.csv").open(encoding="utf-8") as file:
        assert {row["region_id"]: row["parent"] or None for row in csv.DictReader(file)} == expected


def test_label_studio_gets_the_regions_as_brushes_and_they_come_back_as_examples(named, tmp_path):
    """Predictions are accepted as annotations there, as a person would do; then they are examples for every region."""
    tasks = json.loads(named.path(f"{NAMED}/label_studio.json").read_text())
    assert [task["data"]["image_id"] for task in tasks] == GOOD
    for task in tasks:
        regions = read_regions(named.path(f"results/regions/default/{task['data']['image_id']}.json"))
        semantics = read_semantics(named.path(f"results/semantics/few/default/{task['data']['image_id']}.json"))
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "few"
        named_regions = [
            (region["region_id"], region["segmentation"], semantics.name(label.value), label.score)
            for region, label in zip(regions.annotations, semantics.regions, strict=True)
            if label.value
        ]
        for result, (region_id, mask, name, score) in zip(prediction["result"], named_regions, strict=True):
            assert (result["id"], result["value"]["brushlabels"], result["score"]) == (region_id, [name], score)
            assert from_brush(result["value"]["rle"], *regions.size) == mask
        task["annotations"] = task.pop("predictions")
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    drawn, notes = read_drawn(tmp_path / "export.json")
    assert len(drawn) == sum(len(task["annotations"][0]["result"]) for task in tasks) and notes == []
    assert [image_of(image, [*GOOD, "broken"]) for image in dict.fromkeys(one.image for one in drawn)] == GOOD
    setup = ElementTree.parse(named.path(f"{NAMED}/label_studio.xml"))
    assert [label.get("value") for label in setup.iter("Label")] == ["disc", "ground"]


def test_maps_with_a_palette_the_class_list_and_the_table_agree(named):
    with named.path(f"{NAMED}/classes.csv").open() as file:
        classes = list(csv.DictReader(file))
    assert [(row["value"], row["name"]) for row in classes] == [("0", "none"), ("1", "disc"), ("2", "ground")]
    with named.path(f"{NAMED}/regions.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    names = {row["region_id"]: row["name"] for row in table}
    for image in GOOD:
        labels = read_label_map(named.path(f"results/semantics/few/default/{image}.png"))
        coloured = Image.open(named.path(f"{NAMED}/maps/{image}.png"))
        assert (np.asarray(coloured) == labels).all()
        colours = np.array([[int(row[c]) for c in ("red", "green", "blue")] for row in classes])
        assert (np.asarray(coloured.convert("RGB")) == colours[labels]).all()
        semantics = read_semantics(named.path(f"results/semantics/few/default/{image}.json"))
        assert {r.region_id: semantics.name(r.value) or "" for r in semantics.regions}.items() <= names.items()


def test_the_data_set_knows_the_names(named):
    with regionflow.load(named.path("results")) as regions:
        names = regions.semantics["few"]
        assert names.classes == ["disc", "ground"] and len(names.name) == len(regions)
        rows = regions.rows("wide")
        semantics = read_semantics(named.path("results/semantics/few/default/wide.json"))
        by_id = {region.region_id: semantics.name(region.value) for region in semantics.regions}
        assert [names.name[row] for row in rows] == [by_id[regions.region_id[row]] for row in rows]
        assert names.map("wide").shape == (96, 120)
        assert ((names.score > 0) == (names.value > 0)).all()


def test_another_table_of_the_same_names_stands_beside_them_everywhere(named):
    """In results/semantics, in every export, and for regionflow.load."""
    for image in GOOD:
        few = read_semantics(named.path(f"results/semantics/few/default/{image}.json"))
        short = read_semantics(named.path(f"results/semantics/short/default/{image}.json"))
        assert short.classes == ["G", "D"] and few.classes == ["disc", "ground"]
        initial = {"disc": "D", "ground": "G", None: None}
        assert [short.name(r.value) for r in short.regions] == [initial[few.name(r.value)] for r in few.regions]
        maps = (
            read_label_map(named.path(f"results/semantics/{name}/default/{image}.png")) for name in ("few", "short")
        )
        assert (next(maps) == np.array([0, 2, 1])[next(maps)]).all()
    assert read_semantics(named.path("results/semantics/short/default/broken.json")).image.error
    beside = named.path("results/named/short/default")
    files = {file.relative_to(beside) for file in beside.rglob("*") if file.is_file()}
    assert files == {f.relative_to(named.path(NAMED)) for f in named.path(NAMED).rglob("*") if f.is_file()}
    categories = json.loads((beside / "coco.json").read_text())["categories"]
    assert [category["name"] for category in categories] == ["G", "D"]
    with regionflow.load(named.path("results")) as regions:
        assert {*regions.semantics["short"].name} <= {"G", "D", None}


def test_the_overlay_has_a_panel_more_for_every_labeler(named, finished):
    original, _ = finished
    place = "results/report/daisy_lab/default/overlays/one.jpg"
    with Image.open(named.path(place)) as more, Image.open(original.path(place)) as less:
        assert more.height == less.height and more.width == less.width * 6 // 4


def test_examples_that_are_wrong_are_all_told_by_line(named):
    workspace = Workspace(named.folder, named.config)
    write_examples(workspace, [*POINTS, ("one", 120, 5, "disc"), ("nowhere", 5, 5, "disc"), ("one", 500, 5, "disc")])
    run = workspace.snakemake("results/classifiers/few/default.h5", ok=False)
    log = workspace.path("logs/classifier/few/default.log").read_text()
    assert run.code != 0 and "line 7: there is no image 'nowhere'" in log
    write_examples(workspace, [*POINTS, ("one", 120, 5, "disc"), ("one", 500, 5, "disc")])
    workspace.snakemake("results/classifiers/few/default.h5", ok=False)
    log = workspace.path("logs/classifier/few/default.log").read_text()
    assert "line 6: (120, 5) is outside of one, which is 120 x 96 pixels" in log and "line 7: (500, 5)" in log
    # What needs no image is told before any job starts.
    write_examples(workspace, [*POINTS, ("one", 5, "", "disc"), ("one", 6, 6, "Disc")])
    run = workspace.snakemake("-n", ok=False)
    assert "labelers.few.examples: " in run.output and "line 6: x '5' and y '' are not both numbers" in run.output
    assert "line 7: class 'Disc' was spelled 'disc' before" in run.output
