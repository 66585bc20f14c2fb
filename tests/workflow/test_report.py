"""The report page: whole, self-contained, and working in a browser."""

import json
import re
import shutil

import pytest

from helpers import browser
from helpers.scenes import ODD
from helpers.workflow import Workspace

VARIANT = "daisy_lab/default"
IMAGES = ["broken", "one", ODD, "wide"]
needs_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    original, _ = finished
    folder = tmp_path_factory.mktemp("report") / "copy"
    shutil.copytree(original.folder, folder)
    workspace = Workspace(folder, {**original.config, "clusters": {"k": [4, 2]}, "report": {"page_images": 2}})
    workspace.snakemake("report")
    return workspace.path(f"results/report/{VARIANT}/report.html")


def embedded(page, name):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_the_page_says_what_the_run_made(page):
    data = embedded(page, "data")
    labels = page.parents[4] / f"results/labels/{VARIANT}"
    tables = {image: json.loads((labels / f"{image}.json").read_text()) for image in IMAGES}
    regions = [len(tables[image]["regions"]) for image in IMAGES]
    assert data["images"]["id"] == IMAGES
    assert data["images"]["regions"] == regions
    assert data["summary"]["regions"] == sum(regions) == sum(c["size"] for c in data["clusters"])
    assert data["summary"]["unreadable"] == 1
    assert [p["image"] for p in data["problems"]] == ["broken"]
    assert [row["k"] for row in data["comparison"]] == ["2", "4"]
    assert len(data["images"]["shown"]) == 2
    assert {"masks", "superpixels", "regions", "features", "pooled", "clusters"} <= {s for s, _ in data["parameters"]}
    assert {"masks", "features", "labels"} <= {row["stage"] for row in data["timings"]}
    assert len(data["map"]["x"]) == min(2000, sum(regions))
    assert all(0 <= v <= 1 for axis in "xy" for v in data["map"][axis])


def test_a_page_over_all_variants_leads_to_it(page):
    index = (page.parents[2] / "index.html").read_text()
    assert VARIANT.replace("/", " / ") in index
    assert '"links":{}' in index  # there is no ground truth


def test_the_page_needs_no_other_file(page):
    text = page.read_text()
    others = re.findall(
        r"""(?:src|href)=["'](?!data:|#)([^"']*)""", re.sub(r"<script.*?</script>", "", text, flags=re.S)
    )
    assert others == ["../../index.html"]  # a link back
    assert (page.parent / others[0]).resolve() == page.parents[2] / "index.html"
    assert not re.findall(r"https?://", re.sub(r"<script type=.application/json.*?</script>", "", text, flags=re.S))


LAYERS = """
  const picture = document.getElementById("picture");
  const sum = () => [...picture.toDataURL()].reduce((a, b) => (a * 31 + b.charCodeAt(0)) >>> 0, 7);
  const states = { labels: sum() };
  for (const layer of ["labels", "regions", "masks", "superpixels"]) {
    document.getElementById(`layer-${layer}`).click();
    states[`+${layer}`] = sum();
  }
  for (const layer of ["regions", "masks", "superpixels"]) document.getElementById(`layer-${layer}`).click();
  states.photo = sum();
  document.getElementById("layer-labels").click();
  states.again = sum();
  return states;
"""


@needs_browser
def test_it_loads_without_errors_and_every_toggle_changes_the_picture(page):
    states, errors = browser.drive(page, LAYERS)
    assert not errors
    assert states["labels"] == states["again"]
    assert states["+labels"] == states["photo"]  # the first click switches the labels off
    assert len({states[s] for s in ("labels", "photo", "+regions", "+masks", "+superpixels")}) >= 4


@needs_browser
def test_hover_tells_the_region_search_finds_images_and_crops_lead_to_their_image(page):
    script = """
      const found = {};
      const canvas = document.getElementById("highlight");
      const box = canvas.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
      canvas.dispatchEvent(new MouseEvent("mousemove", at));
      found.tip = document.getElementById("tip").innerText;
      const search = document.getElementById("search");
      const names = () => [...document.querySelectorAll(".tile")].map((t) => t.title);
      found.all = names();
      search.value = "WID";
      search.dispatchEvent(new Event("input"));
      found.searched = names();
      document.querySelectorAll("#tiles button").forEach((tile) => tile.click());
      await wait(300);
      found.opened = document.getElementById("caption").innerText;
      const crops = [...document.querySelectorAll(".crop")];
      found.crops = crops.length;
      crops[0].click();
      await wait(300);
      found.after = document.getElementById("caption").innerText;
      found.alt = crops[0].querySelector("img").alt;
      found.bars = document.querySelectorAll("#bars .row").length;
      found.broken = document.getElementById("problem-list").innerText;
      return found;
    """
    found, errors = browser.drive(page, script)
    assert not errors
    for text in ("region ", "cluster ", "area ", "distance "):
        assert text in found["tip"]
    assert set(found["all"]) <= set(IMAGES)
    assert found["searched"] == ["wide"]
    assert found["crops"] > 4
    assert found["after"].startswith(found["alt"].split(" of ", 1)[1])
    assert found["bars"] == 4
    assert "truncated" in found["broken"]
