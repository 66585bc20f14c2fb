"""The page about ground truth."""

import json
import re

import numpy as np
import pytest

from helpers import report_page
from regionflow.formats import rle
from regionflow.formats.evaluation import read_rows, write_rows
from regionflow.report.evaluation import BAD, GOOD, Judged, best_masks, build_evaluation, overlay


def box(y, x, h, w, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return mask


TRUE = [box(0, 0, 20, 20), box(20, 20, 10, 10)]
MASKS = [box(0, 0, 20, 10), box(0, 0, 20, 20), box(35, 50, 5, 5)]


def test_the_best_mask_of_a_true_region_is_that_of_the_largest_iou():
    rng = np.random.default_rng(0)
    truth, masks = ([rng.random((9, 7)) < 0.5 for _ in range(n)] for n in (4, 6))
    chosen, ious = best_masks([rle.encode(m) for m in truth], [rle.encode(m) for m in masks])
    expected = np.array([[(t & m).sum() / (t | m).sum() for m in masks] for t in truth])
    assert (chosen == expected.argmax(axis=1)).all()
    assert ious == pytest.approx(expected.max(axis=1))
    assert best_masks([rle.encode(truth[0])], [])[0].tolist() == [-1]


def test_the_picture_has_white_outlines_and_the_colour_of_the_fit():
    picture = overlay(np.zeros((40, 60, 3), np.uint8), [rle.encode(m) for m in TRUE], [rle.encode(m) for m in MASKS])
    assert (picture[0, 0] == 255).all()
    assert picture[10, 10] == pytest.approx(0.55 * GOOD, abs=1)
    assert (picture[25, 25] == 0).all()  # no mask meets it
    half = overlay(np.zeros((40, 60, 3), np.uint8), [rle.encode(TRUE[0])], [rle.encode(MASKS[0])])
    assert half[10, 5] == pytest.approx(0.55 * (GOOD + BAD) / 2, abs=1)


@pytest.fixture
def page(tmp_path):
    rows = [
        {"segmenter": "one", "split": "all", "mean_best_iou": 0.25, "masks": 3},
        {"segmenter": "two", "split": "all", "mean_best_iou": 0.5, "masks": 9},
    ]
    write_rows(tmp_path / "masks.tsv", rows)
    write_rows(tmp_path / "semantics.tsv", [])
    by_image = [
        {"image": f"image {i}", "masks": 3, "true_regions": 2, "mean_best_iou": i / 20, "boundary_f": 0.5}
        for i in range(15)
    ]
    nothing = {"image": "empty", "masks": 3, "true_regions": 0, "mean_best_iou": float("nan"), "boundary_f": 0.0}
    write_rows(tmp_path / "regions.tsv", [*by_image, nothing])
    kind = Judged("trees", tmp_path / "regions.tsv", lambda image: [rle.encode(m) for m in MASKS])
    tables = {name: tmp_path / f"{name}.tsv" for name in ("masks", "semantics")}
    photo = np.full((40, 60, 3), 90, np.uint8)
    build_evaluation(
        tmp_path / "evaluation.html", tables, [kind], lambda image: [rle.encode(m) for m in TRUE], lambda image: photo
    )
    return tmp_path / "evaluation.html"


def test_tables_worst_and_best_images_and_the_iou_of_true_regions(page):
    text = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    data = json.loads(text)
    assert [table["name"] for table in data["tables"]] == ["masks"]
    (kind,) = data["kinds"]
    assert [one["image"] for one in kind["worst"]] == [f"image {i}" for i in range(6)]
    assert [one["image"] for one in kind["best"]] == [f"image {i}" for i in range(14, 8, -1)]
    assert sum(kind["regions"]["counts"]) == 2 * 15
    assert sum(kind["images"]["counts"]) == 15


def test_it_opens_in_a_browser_and_marks_and_sorts_the_best(page):
    with report_page.opened(page) as tab:
        assert tab.locator("#tables td b").all_inner_texts() == ["0.500"]
        assert tab.locator("#tables tbody tr").first.inner_text().startswith("one")
        tab.click("text=mean best iou")
        assert tab.locator("#tables tbody tr").first.inner_text().startswith("two")
        assert tab.locator(".judged img").count() == 12
    with report_page.opened(page, 420, "dark") as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 420


def test_a_table_of_scores_is_read_as_it_was_written(tmp_path):
    rows = [{"name": "a", "x": 0.5, "n": 3}, {"name": "b", "x": float("nan"), "n": None}]
    write_rows(tmp_path / "rows.tsv", rows)
    assert read_rows(tmp_path / "rows.tsv") == [{"name": "a", "x": 0.5, "n": 3}, {"name": "b", "x": None, "n": None}]
