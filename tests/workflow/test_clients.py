"""A COCO data set that is complete in itself, opened by the libraries that people train and look with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regionflow
from helpers.scenes import ODD, photo
from helpers.workflow import Workspace
from regionflow.formats import rle

SPLITS = {"one": "train", ODD: "val", "wide": "Train ", "turned": "val", "broken": ""}
NAMES = ["sky", "sky", "grass", "a b"]
FOLDER = "results/coco/daisy_lab/default"


@pytest.fixture(scope="module")
def complete(finished, tmp_path_factory) -> Workspace:
    """The export of a set with splits, a photo that its metadata turns, names for the clusters, and copied photos."""
    original, _ = finished
    folder = tmp_path_factory.mktemp("clients") / "copy"
    shutil.copytree(original.folder, folder)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(5)).save(folder / "photos/turned.jpg", exif=exif)
    suffix = {"one": ".png", "wide": ".png"}
    rows = [f"{image}\tphotos/{image}{suffix.get(image, '.jpg')}\t{split}\n" for image, split in SPLITS.items()]
    (folder / "table.tsv").write_text("id\tpath\tsplit\n" + "".join(rows))
    (folder / "names.csv").write_text("value,name\n" + "".join(f"{i},{n}\n" for i, n in enumerate(NAMES, start=1)))
    exports = {"coco": {"images": "copy"}, "class_list": "names.csv", "tables": ["csv", "parquet"]}
    workspace = Workspace(folder, {"images": {"table": "table.tsv"}, "clusters": {"k": 4}, "exports": exports})
    workspace.snakemake("export")
    return workspace


def instances(workspace: Workspace, split: str) -> Path:
    return workspace.path(f"{FOLDER}/annotations/instances_{split}.json")


def test_a_file_for_every_split_and_all_in_the_whole(complete):
    splits = {path.stem for path in complete.path(f"{FOLDER}/annotations").iterdir()}
    assert splits == {"instances_train", "instances_val", "instances_default"}
    whole = json.loads(complete.path(f"{FOLDER}.json").read_text())
    parts = [json.loads(instances(complete, split).read_text()) for split in ("train", "val", "default")]
    assert sum(len(part["annotations"]) for part in parts) == len(whole["annotations"]) > 0
    assert [image["image_id"] for image in parts[0]["images"]] == ["one", "wide"]
    assert parts[2]["images"] == []


def test_file_names_are_below_a_stated_root_that_is_there_and_no_path_is_absolute(complete):
    for path in (complete.path(f"{FOLDER}.json"), instances(complete, "train"), instances(complete, "val")):
        content = json.loads(path.read_text())
        root = path.parent / content["info"]["images_root"]
        assert all((root / image["file_name"]).is_file() for image in content["images"])
        assert str(complete.folder) not in path.read_text()


def test_photos_lie_as_the_masks_see_them(complete):
    content = json.loads(instances(complete, "val").read_text())
    sizes = {image["image_id"]: (image["width"], image["height"]) for image in content["images"]}
    assert sizes["turned"] == (96, 120)
    for image in content["images"]:
        with Image.open(complete.path(f"{FOLDER}/images/{image['file_name']}")) as picture:
            assert picture.size == sizes[image["image_id"]] and picture.getexif().get(0x0112, 1) == 1


def test_scores_and_category_names(complete):
    content = json.loads(complete.path(f"{FOLDER}.json").read_text())
    assert {c["id"]: c["name"] for c in content["categories"]} == {1: "sky", 3: "grass", 4: "a b"}
    for record in content["annotations"]:
        assert record["category_id"] == {0: 1, 1: 1, 2: 3, 3: 4}[record["cluster"]]
        assert ("score" in record) == (record["source"] == "merge_tree")
        assert 0 <= record.get("score", 0) <= 1


def test_torchvision_reads_it(complete):
    from torchvision.datasets import CocoDetection

    dataset = CocoDetection(str(complete.path(f"{FOLDER}/images")), str(instances(complete, "val")))
    assert len(dataset) == 2
    for picture, targets in dataset:
        assert targets
        assert all(dataset.coco.annToMask(t).shape == (picture.height, picture.width) for t in targets)


def test_supervision_reads_it(complete):
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    dataset = supervision.DetectionDataset.from_coco(
        str(complete.path(f"{FOLDER}/images")), str(instances(complete, "val")), force_masks=True
    )
    assert dataset.classes == ["sky", "grass", "a b"]
    content = json.loads(instances(complete, "val").read_text())
    expected = {image["file_name"]: image["id"] for image in content["images"]}
    seen = 0
    for path, pixels, detections in dataset:
        name = Path(path).relative_to(complete.path(f"{FOLDER}/images")).as_posix()
        records = [r for r in content["annotations"] if r["image_id"] == expected[name]]
        assert len(detections) == len(records) > 0
        assert detections.mask.shape[1:] == pixels.shape[:2]
        for mask, record in zip(np.asarray(detections.mask), records, strict=True):
            assert (mask == rle.decode(record["segmentation"])).all()
        seen += 1
    assert seen == 2


def test_datumaro_reads_it(complete):
    components = pytest.importorskip("datumaro.components.dataset", reason="datumaro is not installed")
    dataset = components.Dataset.import_from(str(complete.path(FOLDER)), "coco")
    content = json.loads(complete.path(f"{FOLDER}.json").read_text())
    masks = {item.id: [a for a in item.annotations if hasattr(a, "image")] for item in dataset}
    assert sum(map(len, masks.values())) == len(content["annotations"])
    assert {item.subset for item in dataset} == {"train", "val"}
    for item in dataset:
        assert all(mask.image.shape == item.media.data.shape[:2] for mask in masks[item.id])


def test_a_link_leads_to_the_photo_and_a_turned_photo_is_written_upright(complete, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(complete.folder, folder)
    config = {**complete.config, "exports": {**complete.config["exports"], "coco": {"images": "link"}}}
    workspace = Workspace(folder, config)
    workspace.snakemake("export")
    images = workspace.path(f"{FOLDER}/images")
    assert (images / "one.png").is_symlink() and (images / "one.png").samefile(folder / "photos/one.png")
    assert not (images / "turned.jpg").is_symlink()
    assert not workspace.snakemake("export", "-n").jobs()


def test_fiftyone_s_importer_reads_it_without_a_database(complete):
    coco = pytest.importorskip("fiftyone.utils.coco", reason="fiftyone is not installed")
    content = json.loads(instances(complete, "val").read_text())
    images = {image["image_id"]: image for image in content["images"]}
    importer = coco.COCODetectionDatasetImporter(
        data_path=str(complete.path(f"{FOLDER}/images")),
        labels_path=str(instances(complete, "val")),
        label_types=["segmentations"],
    )
    seen = {}
    with importer:
        for path, size, label in importer:
            assert Path(path).is_file()
            seen[size.width, size.height] = len(label.detections)
    counts = {i["id"]: sum(r["image_id"] == i["id"] for r in content["annotations"]) for i in images.values()}
    assert seen == {(i["width"], i["height"]): counts[i["id"]] for i in images.values()}


def test_pandas_and_polars_read_the_table_as_parquet_with_the_types_of_its_columns(complete):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    path = complete.path("results/region_tables/daisy_lab/default.parquet")
    table, same = pandas.read_parquet(path), polars.read_parquet(path)
    csv = pandas.read_csv(path.with_suffix(".csv"), keep_default_na=False, dtype=str)
    assert len(table) == len(same) == len(csv) > 0
    assert list(table.columns) == same.columns == list(csv.columns)
    assert (table["region_id"] == csv["region_id"]).all() and same["region_id"].to_list() == list(csv["region_id"])
    assert table["area"].dtype == np.int64 and table["cluster"].dtype == np.int64
    assert (table["area"] == csv["area"].astype(int)).all()
    assert (table["predicted_iou"].isna() == (csv["predicted_iou"] == "")).all()
    assert same["distance"].dtype == polars.Float64
    assert same["parent"].null_count() == (csv["parent"] == "").sum()


def test_hugging_face_datasets_read_the_folder(complete, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    folder = tmp_path / "images"
    # datasets takes a $ in a file's name for a variable, and has no rows for photos without metadata.
    shutil.copytree(complete.path(f"{FOLDER}/images"), folder, ignore=shutil.ignore_patterns("sub dir", "broken*"))
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(line for line in lines if "sub dir" not in line) + "\n")
    dataset = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path), split="train")
    rows = {row["image_id"]: row for row in dataset}
    assert len(lines) == 4 and rows.keys() == {"one", "wide", "turned"}
    for image, row in rows.items():
        regions = json.loads(complete.path(f"results/regions/default/{image}.json").read_text())["annotations"]
        assert row["image"].size == (row["width"], row["height"])
        objects = row["objects"]
        assert objects["region_id"] == [region["region_id"] for region in regions]
        assert objects["area"] == [region["area"] for region in regions]
        assert set(objects["category"]) <= {"sky", "grass", "a b"}
        mask = rle.decode({"size": [row["height"], row["width"]], "counts": objects["counts"][0]})
        assert mask.sum() == objects["area"][0]


def test_xarray_has_named_dimensions(complete):
    pytest.importorskip("xarray", reason="xarray is not installed")
    regions = regionflow.load(complete.path("results"))
    dataset = regions.to_xarray()
    assert dataset["features"].dims == ("region", "channel")
    assert dataset["features"].shape == regions.features.shape
    row = dataset.sel(region=regions.region_id[3])
    assert int(row["area"]) == regions.area[3] and (row["features"].values == regions.features[3:4][0]).all()
    assert dataset.groupby("image_id").sum()["area"].sizes["image_id"] == 4
