"""Two sets of masks side by side: equal, different, nested, and with images that one alone has."""

import csv
from pathlib import Path

import numpy as np
import pytest

from regionflow.base.errors import UserError
from regionflow.cli import main
from regionflow.evaluate.compare import compare, pairs
from regionflow.formats import rle
from regionflow.formats.regions import Generator, ImageInfo, annotation, write_regions


def box(x: int, y: int, width: int, height: int) -> rle.Rle:
    mask = np.zeros((20, 30), bool)
    mask[y : y + height, x : x + width] = True
    return rle.encode(mask)


def write(folder: Path, image: str, *masks: rle.Rle, size: tuple[int, int] = (20, 30)) -> None:
    records = [annotation(mask, "graph") for mask in masks]
    write_regions(folder / f"{image}.json", ImageInfo(image, f"{image}.png", *size), records, Generator("test", {}))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    a, b = tmp_path / "one/masks/graph", tmp_path / "two/masks/graph"
    for folder, images in ((a, ("same", "shrunk", "more", "empty", "left")), (b, ("same", "empty", "right"))):
        for image in images:
            write(folder, image, *([] if image == "empty" else [box(0, 0, 10, 10), box(5, 5, 4, 4)]))
    write(b, "same", box(5, 5, 4, 4), box(0, 0, 10, 10))
    write(b, "shrunk", box(0, 0, 10, 8), box(5, 5, 4, 4))
    write(b, "more", box(0, 0, 10, 10))
    return a, b


def test_numbers_are_those_that_can_be_counted_by_hand(folders):
    result = compare(*folders)
    by_id = {image.image_id: image for image in result.images}
    assert by_id.keys() == {"same", "shrunk", "more", "empty"}
    assert (result.only_a, result.only_b) == (["left"], ["right"])
    assert by_id["same"].same and by_id["empty"].same
    assert (by_id["shrunk"].common, by_id["shrunk"].same) == (1, False)
    assert by_id["shrunk"].best_iou_of_a == pytest.approx((0.8 + 1) / 2)
    assert by_id["more"].best_iou_of_a == pytest.approx((1 + 0.16) / 2)
    assert by_id["more"].best_iou_of_b == 1
    assert result.differing == 0.5
    expected = np.mean([1, 1, 0.9, (0.58 + 1) / 2])
    assert result.mean_best_iou == pytest.approx(expected)


def test_a_set_against_itself_differs_nowhere(folders):
    result = compare(folders[0], folders[0])
    assert result.differing == 0 and result.mean_best_iou == 1


def test_the_command_over_two_results_folders(folders, tmp_path, capsys):
    main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "tables")])
    told = capsys.readouterr().out
    assert "masks/graph: 4 images, 2 (50.0%) with another set of masks, mean best IoU 0.9225" in told
    assert "1 image(s) only in" in told and "left" in told and "right" in told
    with (tmp_path / "tables/masks/graph.tsv").open() as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert {image: row["same"] for image, row in rows.items()} == {
        "same": "true", "empty": "true", "shrunk": "false", "more": "false",
    }  # fmt: skip


def test_what_cannot_be_compared_is_named(folders, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        list(pairs(folders[0], tmp_path / "none"))
    (tmp_path / "three/masks/other").mkdir(parents=True)
    with pytest.raises(SystemExit, match="have no variant in common"):
        main(["compare", str(tmp_path / "one"), str(tmp_path / "three")])
    with pytest.raises(SystemExit, match="no image in common"):
        main(["compare", str(folders[0]), str(tmp_path / "three/masks/other")])
    write(folders[1], "left", size=(20, 31))
    with pytest.raises(UserError, match="20 x 30 and 20 x 31 pixels"):
        compare(*folders)
