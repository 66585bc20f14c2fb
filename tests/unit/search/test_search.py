"""Search by example and by words over a small set, from the command line to the files."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regionflow
from helpers.small_results import HEIGHT, WIDTH, make
from regionflow.base.errors import UserError
from regionflow.cli import main
from regionflow.formats.images import ImageRow, write_images
from regionflow.search import command
from regionflow.search.nearest import nearest, row_of


@pytest.fixture
def results(tmp_path: Path) -> Path:
    root = tmp_path / "results"
    make(root, images=("a", "sub/b", "gone"), regions=9)
    rows = []
    for image in ("a", "sub/b", "gone"):
        path = tmp_path / "photos" / f"{image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if image != "gone":
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(path)
        rows.append(ImageRow(image, f"photos/{image}.png", "", HEIGHT, WIDTH, "0" * 64, "ok"))
    write_images(root / "images.tsv", rows)
    return root


def test_the_nearest_are_those_of_the_whole_matrix(results):
    regions = regionflow.load(results)
    features = regions.features[:]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = unit @ unit[5]
    hits = nearest(regions, features[5], len(regions), same=1.0)
    assert hits.rows[0] == 5 and sorted(hits.rows) == list(range(len(regions)))
    assert np.allclose(hits.similarity, expected[hits.rows], atol=1e-6)
    assert (np.diff(hits.similarity) <= 0).all()
    assert nearest(regions, features[5], 3, without=5, same=1.0).rows.tolist() == hits.rows[1:4].tolist()


def test_what_shows_the_same_thing_again_is_left_out(results):
    regions = regionflow.load(results)
    hits = nearest(regions, regions.features[0], len(regions), same=0.5)
    boxes = regions.bbox[hits.rows]
    for i in range(len(hits)):
        for j in range(i):
            if regions.image[hits.rows[i]] == regions.image[hits.rows[j]]:
                low = np.maximum(boxes[i, :2], boxes[j, :2])
                high = np.minimum(boxes[i, :2] + boxes[i, 2:], boxes[j, :2] + boxes[j, 2:])
                inside = np.prod(np.maximum(high - low, 0))
                assert inside <= 0.5 * (np.prod(boxes[i, 2:]) + np.prod(boxes[j, 2:]) - inside)
    assert 0 < len(hits) < len(regions)


def test_the_command_writes_a_table_and_a_sheet(results, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["search", "results", "--region", "sub/b", "2", "-k", "4", "--out", "hits"]
    main(arguments)
    with (tmp_path / "hits/hits.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert all(row["region_id"] == f"{row['image_id']}_region_{row['region']}" for row in rows)
    assert "sub/b_region_2" not in [row["region_id"] for row in rows]
    assert rows[0]["path"].startswith("photos/")
    assert capsys.readouterr().out == (tmp_path / "hits/hits.tsv").read_text()
    with Image.open(tmp_path / "hits/hits.jpg") as picture:
        assert picture.width == 5 * 228
    with pytest.raises(SystemExit, match="there already; give another --out"):
        main(arguments)
    main([*arguments[:4], "sub/b_region_2", *arguments[5:], "--overwrite"])


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (("b", "2"), "'b' is not an image of .*; there is sub/b"),
        (("a", "99"), "a has no pooled region 99; its regions are 0 to 8"),
        (("a", "x"), "'x' is no number of a region"),
    ],
)
def test_what_is_not_there_is_named(results, tmp_path, region, message):
    with pytest.raises(SystemExit, match=message):
        main(["search", str(results), "--region", *region, "--out", str(tmp_path / "hits")])


def test_words_are_compared_in_the_space_of_their_model(results, tmp_path, monkeypatch):
    regions = regionflow.load(results)
    monkeypatch.setattr(command, "vector_of", lambda *_: regions.features[7])
    main(["search", str(results), "--words", "a red roof", "--out", str(tmp_path / "hits"), "-k", "3"])
    with (tmp_path / "hits/hits.tsv").open() as file:
        assert next(csv.DictReader(file, delimiter="\t"))["region_id"] == regions.region_id[7]
    monkeypatch.setattr(command, "vector_of", lambda *_: np.ones(512, np.float32))
    with pytest.raises(SystemExit, match="the words have 512 channels in ViT-B-16-quickgelu, the features of daisy 5"):
        main(["search", str(results), "--words", "a red roof", "--out", str(tmp_path / "other")])


def test_regions_without_features_are_never_hits(results):
    regions = regionflow.load(results)
    with pytest.raises(UserError, match="no features to compare with"):
        nearest(regions, np.full(regions.features.shape[1], np.nan), 3)
    assert row_of(regions, "a", 0) == 0
