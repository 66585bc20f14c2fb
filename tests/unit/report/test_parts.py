"""The page about part-whole hierarchies, in a browser: sliders, keys, tables and curves."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from helpers import nested, report_page
from regionflow.base.errors import BadFile
from regionflow.formats.images import ImageRow
from regionflow.formats.islands import Islands, write_islands
from regionflow.formats.parts import write_part_masks
from regionflow.formats.regions import Generator
from regionflow.formats.training import write_metrics, write_record
from regionflow.report.parts import PartFiles, build_parts

GRID, ITERATIONS, SIDE = 3, 6, 24
METRICS = {"train_images": 4, "val_images": 1, "val_loss": 0.5, "val_loss_before": 1.25, "baseline_val_loss": 0.75}


def colour(image: int, iteration: int, level: int) -> list[int]:
    """One colour for all columns, another for each image, iteration and level; iteration -1 is the teacher."""
    return [40 * image, 30 * (iteration + 1), 60 * level]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PartFiles:
    root = tmp_path_factory.mktemp("parts")
    (root / "islands/b").mkdir(parents=True)
    (root / "masks/b").mkdir(parents=True)
    for i, name in enumerate(("a", "b/c", "d")):
        colours = np.array([[colour(i, k, level) for level in range(3)] for k in range(-1, ITERATIONS)], np.uint8)
        colours = np.repeat(colours[:, None], GRID**2, axis=1)
        agreement = (np.arange(ITERATIONS)[:, None] / 10 + [0, 0.1, 0.2]) * (i + 1) / 3
        agreement[-1, 0] = np.nan if i == 2 else agreement[-1, 0]
        write_islands(root / f"islands/{name}.json", name, Islands(colours[0], colours[1:], agreement))
        parts = nested.true_parts(nested.draw(i, SIDE)[1], GRID)
        write_part_masks(root / f"masks/{name}.json.gz", name, f"{name}.png", parts, Generator("test", {}))
    rows = [
        {"step": step, "train_loss": 1 / step, "val_loss": 1.2 / step, "agreement_0": 0.1, "agreement_1": step / 10}
        for step in (1.0, 2.0, 3.0)
    ]
    write_record(root / "record.csv", rows)
    write_metrics(root / "metrics.json", METRICS)
    write_metrics(root / "accuracy.json", {"accuracy": 0.75, "images": 4, "of": "other splits", "of_unknown_class": 1})
    patterns = root / "islands/{image}.json", root / "masks/{image}.json.gz"
    return PartFiles(*patterns, root / "record.csv", root / "metrics.json", root / "accuracy.json")


def build(path: Path, files: PartFiles, names: tuple[str, ...] = ("a", "b/c", "d")) -> Path:
    images = [ImageRow(name, f"{name}.png", "", 30, 40, "0" * 64, "ok") for name in names]
    build_parts(path, images, files, lambda row, size: np.full((size, size, 3), 90, np.uint8))
    return path


@pytest.fixture
def page(tmp_path: Path, files: PartFiles) -> Path:
    return build(tmp_path / "parts.html", files)


SEEN = """() => {
  const pixel = (id) => [...$(id).getContext("2d").getImageData(1, 1, 1, 1).data].slice(0, 3);
  const texts = ["level-name", "iteration-name"].map((id) => $(id).textContent);
  return [$("image").value, ...texts, pixel("teacher"), pixel("student")];
}"""


def test_the_data_are_what_the_files_say(page: Path) -> None:
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])  # type: ignore[index]
    assert data["levels"] == ["subpart", "part", "whole"]
    assert data["agreement"][2][0] is None
    assert data["mean"] == pytest.approx([0.25, 0.4, 0.467], abs=1e-3)  # of those that are known
    assert [sum(one["counts"]) for one in data["histograms"]] == [2, 3, 3]
    loss, agreement = data["training"]
    assert [line["name"] for line in loss["lines"]] == ["training", "held out", "mean target"]
    assert loss["lines"][2]["values"] == [0.75]
    assert agreement["lines"][1]["values"] == [0.1, 0.2, 0.3]
    assert agreement["lines"][2]["values"] == [None, None, None]
    assert data["facts"][1] == ["0.5", "held-out loss, 1.25 before the training"]
    of = "of 4 images (other splits) right by the probe; 1 of classes that it was not trained on count nowhere"
    assert data["facts"][-1] == ["75.0 %", of]


def test_sliders_and_keys_reach_every_level_and_iteration_of_every_image(page: Path) -> None:
    with report_page.opened(page) as tab:
        assert tab.evaluate(SEEN) == ["0", "whole", "6 of 6", colour(0, -1, 2), colour(0, 5, 2)]
        tab.locator("#level").fill("1")
        tab.locator("#iteration").fill("0")
        assert tab.evaluate(SEEN) == ["0", "part", "1 of 6", colour(0, -1, 1), colour(0, 0, 1)]
        tab.locator("#level").press("ArrowLeft")  # the slider's own
        assert tab.evaluate(SEEN) == ["0", "subpart", "1 of 6", colour(0, -1, 0), colour(0, 0, 0)]
        tab.locator("h1").click()
        for key in ("ArrowRight", "ArrowUp", "]", "]"):
            tab.keyboard.press(key)
        assert tab.evaluate(SEEN) == ["1", "part", "3 of 6", colour(1, -1, 1), colour(1, 2, 1)]
        assert tab.evaluate("location.hash") == "#image=b%2Fc&level=1&iteration=3"
        tab.keyboard.press("p")
        tab.click("[data-at='2 4']")
        assert tab.evaluate(SEEN) == ["0", "whole", "5 of 6", colour(0, -1, 2), colour(0, 4, 2)]
        assert tab.locator("#student-caption").inner_text() == "Student after iteration 5: agreement 0.20"
        assert tab.is_visible("#borders")
        tab.keyboard.press("o")
        assert not tab.is_visible("#borders")
        tab.click("#rows >> text=d")
        assert tab.evaluate(SEEN)[0] == "2"


def test_an_address_opens_what_it_was_made_from(page: Path) -> None:
    with report_page.opened(page, before="history.replaceState(null, '', '#image=d&level=0&iteration=2')") as tab:
        assert tab.evaluate(SEEN) == ["2", "subpart", "2 of 6", colour(2, -1, 0), colour(2, 1, 0)]


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_the_page_keeps_to_the_rules_of_accessibility_and_to_the_width_of_the_screen(
    page: Path, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    with report_page.opened(page, width, scheme) as tab:
        broken = axe.Axe().run(tab).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in broken] == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("#curves path.curve").count() == 6


def test_without_readable_images_there_still_is_a_page(tmp_path: Path, files: PartFiles) -> None:
    with report_page.opened(build(tmp_path / "parts.html", files, ())) as tab:
        assert tab.locator("#curves figure").count() == 2


def test_losses_that_cannot_be_told_and_a_frozen_student_still_have_a_page(tmp_path: Path, files: PartFiles) -> None:
    """No held-out image has a mask; no step was made; the probe knows no image's class."""
    write_metrics(tmp_path / "metrics.json", METRICS | dict.fromkeys(("val_loss", "baseline_val_loss"), float("nan")))
    tested = {"accuracy": float("nan"), "images": 0, "of": "other splits", "of_unknown_class": 3}
    write_metrics(tmp_path / "accuracy.json", tested)
    write_record(tmp_path / "record.csv", [])
    places = [tmp_path / name for name in ("record.csv", "metrics.json", "accuracy.json")]
    with report_page.opened(build(tmp_path / "parts.html", PartFiles(files.islands, files.masks, *places))) as tab:
        assert tab.locator("#facts b").all_inner_texts() == ["4", "-", "-"]
        assert tab.locator("#curves figure").count() == 0


def test_figures_of_another_kind_are_named(tmp_path: Path, files: PartFiles) -> None:
    write_metrics(tmp_path / "metrics.json", {"accuracy": 1.0})
    other = PartFiles(files.islands, files.masks, files.record, tmp_path / "metrics.json")
    with pytest.raises(BadFile, match=r"metrics\.json.*without train_images"):
        build(tmp_path / "parts.html", other)


def test_a_damaged_file_is_named(tmp_path: Path, files: PartFiles) -> None:
    (tmp_path / "record.csv").write_text("step\nx\n")
    damaged = PartFiles(files.islands, files.masks, tmp_path / "record.csv", files.metrics)
    with pytest.raises(BadFile, match=r"record\.csv"):
        build(tmp_path / "parts.html", damaged)
