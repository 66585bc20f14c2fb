"""`snakemake parts` on photos in folders of their classes: every stage in this process, as the client gives it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from snakemake.utils import update_config

from helpers import nested
from helpers.digest import digest
from helpers.forked import snakemake
from helpers.planned import SCRIPTS, begun, jobs_in
from helpers.workflow import ROOT, Workspace
from regionflow.formats.part_set import PartSet
from regionflow.formats.parts import read_part_masks, read_part_targets
from regionflow.run import stage
from regionflow.run.models import ModelCache

CONFIG = {
    "images": {"dir": "photos", "split_from": "folder"},
    "parts": {
        "teacher": {"segmenter": "sam_tiny", "grid": 4},
        "embedder": {"model": "test_vit", "random_seed": 0},
        "student": {"size": 32, "patch_size": 2, "dim": 64},
        "training": {"epochs": 3, "optimiser": "adamw"},
        "probe": {"epochs": 3},
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for seed, name in enumerate(("train/a/1", "train/a/2", "train/b/3", "train/b/4", "val/a/5", "val/b/6")):
        path = folder / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(nested.draw(seed, 40)[0]).save(path)
    (folder / "photos/train/a/bad.png").write_bytes(b"no image")
    configuration = folder / "config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIG))
    plan = snakemake(folder, configuration, "-n", "-p", "parts")
    assert plan.code == 0, plan.output
    models = ModelCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for description in jobs_in(plan.output):
            with begun(description, models) as (job, _):
                stage.run(job, SCRIPTS)
    return folder / "results/parts"


def test_every_image_has_masks_and_targets_and_the_bad_one_says_why(results: Path) -> None:
    masks, targets = (
        read_part_masks(results / "masks/train/a/1.json.gz"),
        read_part_targets(results / "targets/train/a/1.h5"),
    )
    assert (masks.size, masks.grid) == (32, 4)
    assert targets.index.shape == (16, 3)
    assert len(targets.embeddings) == len(masks.masks)
    bad = read_part_targets(results / "targets/train/a/bad.h5")
    assert bad.error is not None and not len(bad.embeddings)
    assert json.loads((results / "islands/train/a/bad.json").read_text())["error"] == bad.error


def test_the_set_holds_the_readable_images_and_their_splits(results: Path) -> None:
    data = PartSet(results / "set.h5")
    assert len(data) == 6
    assert data.splits.count("train") == 4
    row = data.image_ids.index("val/a/5")
    made = read_part_targets(results / "targets/val/a/5.h5")
    np.testing.assert_array_equal(data.sample(np.array([row])).targets[0], made.dense.astype(np.float32))


def test_the_student_has_a_record_figures_and_curves(results: Path) -> None:
    with (results / "model/record.csv").open() as file:
        record = list(csv.DictReader(file))
    assert [int(row["step"]) for row in record] == [1, 2, 3]
    metrics = json.loads((results / "model/metrics.json").read_text())
    assert metrics["train_images"] + metrics["val_images"] == 4
    assert len(metrics["agreement"]) == 3
    assert (results / "model/curves.svg").read_text().startswith("<svg")


def test_the_probe_is_tested_on_the_other_split(results: Path) -> None:
    tested = json.loads((results / "probe/accuracy.json").read_text())
    assert (tested["images"], tested["of"]) == (2, "other splits")
    with (results / "probe/confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["true", "a", "b"]
    assert sum(int(count) for row in rows[1:] for count in row[1:]) == 2


def test_islands_are_pictures_and_a_table_of_their_agreement(results: Path) -> None:
    assert Image.open(results / "islands/val/b/6.png").width > 1000
    with (results / "agreement.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == sorted(PartSet(results / "set.h5").image_ids)
    assert set(rows[0]) == {"image_id", "level_0", "level_1", "level_2"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"teacher": {"segmenter": "graph"}}, "graph is of type graph; only sam and merge_tree can teach"),
        ({"teacher": {"segmenter": "sam_vit_q"}}, "sam_vit_q"),
        ({"teacher": {"grid": 7}}, "the student has 14 x 14 columns, the teacher 7 x 7 patches"),
        ({"training": {"level_weights": [1.0]}}, "training.level_weights has 1 numbers"),
        ({"teacher": {"segmenter": "merge_tree"}, "embedder": {"model": "test_vit"}}, "parts.student.dim: must be 64"),
    ],
)
def test_what_cannot_work_is_told_before_any_job(tmp_path: Path, parts: dict, message: str) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump({"parts": parts}))
    run = snakemake(tmp_path, configuration, "-n", "parts")
    assert run.code != 0
    assert message in run.output


def test_a_missing_segmenter_stops_parts_and_nothing_else(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    custom = {"mine": {"type": "sam", "checkpoint": "gone.pth"}}
    configuration.write_text(yaml.safe_dump({"segmenters": custom, "parts": {"teacher": {"segmenter": "mine"}}}))
    run = snakemake(tmp_path, configuration, "-n", "parts")
    assert run.code != 0
    assert "segmenters.mine.checkpoint: gone.pth is not there" in run.output
    assert snakemake(tmp_path, configuration, "-n").code == 0


def test_the_index_leads_to_the_page_where_there_is_one_or_will_be_and_never_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "photos/train/a/1.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(nested.draw(0, 40)[0]).save(path)
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIG))

    def link(*targets: str) -> tuple[str | None, bool]:
        """The page that the index is to lead to, and whether the run makes it."""
        plan = snakemake(tmp_path, configuration, "-n", "-p", *targets)
        assert plan.code == 0, plan.output
        jobs = {job["stage"]: job for job in jobs_in(plan.output)}
        return jobs["report_index"]["inputs"].get("parts"), "parts_page" in jobs

    page = "results/report/parts.html"
    assert link("report") == (None, False)
    for asked in ("parts", "parts_page", f"./{page}"):
        assert link("report", asked) == (page, True)
    (tmp_path / page).parent.mkdir(parents=True)
    (tmp_path / page).touch()
    assert link("report") == (page, False)


PRESETS = sorted(path.stem for path in (ROOT / "config/presets").glob("part_whole*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_planned(tmp_path: Path, name: str) -> None:
    """Dry runs: nothing is downloaded; the weights are planned, or are there."""
    path = tmp_path / "photos/train/a/1.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(nested.draw(0, 40)[0]).save(path)
    values: dict = {}
    for preset in ("part_whole",) if name == "part_whole_as_published" else ():
        update_config(values, yaml.safe_load((ROOT / f"config/presets/{preset}.yaml").read_text()))
    update_config(values, yaml.safe_load((ROOT / f"config/presets/{name}.yaml").read_text()))
    update_config(values, {"images": {"dir": "photos"}})
    configuration = tmp_path / "config.yaml"
    configuration.write_text(yaml.safe_dump(values))
    plan = snakemake(tmp_path, configuration, "-n", "parts")
    assert plan.code == 0, plan.output
    assert "rule parts_model:" in plan.output


@pytest.mark.slow
def test_in_shards_the_files_are_the_same(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results.parents[1] / "photos", tmp_path / "photos")
    shards = Workspace(tmp_path, {**CONFIG, "runtime": {"shard_images": 3}})
    shards.snakemake("parts")
    made = {path.relative_to(tmp_path / "results/parts") for path in tmp_path.glob("results/parts/**/*.*")}
    assert made == {path.relative_to(results) for path in results.rglob("*.*")}
    for name in ("masks/train/a/1.json.gz", "targets/val/a/5.h5", "islands/val/b/6.json"):
        assert digest(tmp_path / "results/parts" / name) == digest(results / name), name
    assert "Nothing to be done" in shards.snakemake("-n", "parts").output
