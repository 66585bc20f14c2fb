"""The page over all variants."""

import json
import re

import numpy as np
import pytest

from helpers import report_page, small_results
from regionflow.report.index import Variant, build_index


@pytest.fixture
def page(tmp_path):
    small_results.make(tmp_path)
    files = [tmp_path / f"labels/daisy/default/{{image}}.{kind}" for kind in ("json", "png")]
    variants = [
        Variant(name, *files, tmp_path / "clusters/daisy/default/centroids.h5") for name in ("x / one", "x / two")
    ]
    photo = np.full((small_results.HEIGHT, small_results.WIDTH, 3), 90, np.uint8)
    build_index(
        tmp_path / "index.html",
        tmp_path / "images.tsv",
        variants,
        photo=lambda row: photo,
        records=tmp_path / "none",
        links={"Evaluation": "evaluation.html", "Parts": "parts.html"},
    )
    return tmp_path / "index.html"


def test_it_counts_what_each_variant_has(page):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])
    assert [v["name"] for v in data["variants"]] == ["x / one", "x / two"]
    assert {v["regions"] for v in data["variants"]} == {8}
    assert data["images"] == ["a", "sub/b"]


def test_further_pages_are_led_to(page):
    with report_page.opened(page) as tab:
        links = tab.locator("#links a").evaluate_all("(all) => all.map((a) => [a.innerText, a.getAttribute('href')])")
        assert links == [["Evaluation", "evaluation.html"], ["Parts", "parts.html"]]


def test_two_variants_stand_side_by_side_and_lead_to_their_pages(page):
    with report_page.opened(page) as tab:
        assert tab.locator("#pair img").count() == 2
        tab.click("#on")
        links = tab.locator("#pair a").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
        assert links == [f"x/{name}/report.html#image=sub%2Fb" for name in ("one", "two")]
        before = tab.get_attribute("#pair img", "src")
        tab.check("#plain")
        assert tab.get_attribute("#pair img", "src") != before
