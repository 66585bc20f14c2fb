"""regionflow.load over a small tree of results, and the examples that use it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import pytest

import regionflow
from helpers.signed import change_json
from regionflow.base.errors import BadFile
from regionflow.dataset import ResultsError
from regionflow.formats import rle
from regionflow.formats.labels import labels_of, write_labels
from regionflow.formats.pooled import write_pooled, write_pooled_set
from regionflow.formats.regions import Generator, ImageInfo, annotation, read_regions, write_regions

EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGES = {"dog": 3, "sub/cat": 4, "empty": 0, **{f"more{i}": 5 for i in range(8)}}
HEIGHT, WIDTH = 20, 30


def make_results(root: Path, extractor: str = "daisy_lab", kind: str = "default") -> np.ndarray:
    """Write region, pooled and label files as the workflow does; returns the features."""
    rng = np.random.default_rng(0)
    files, everything = {}, []
    for image, count in IMAGES.items():
        masks = [rng.random((HEIGHT, WIDTH)) < 0.3 for _ in range(count + 1)]
        info = ImageInfo(image, f"{image}.jpg", HEIGHT, WIDTH)
        region_file = root / "regions" / kind / f"{image}.json"
        region_file.parent.mkdir(parents=True, exist_ok=True)
        found = [annotation(rle.encode(mask), "sam") for mask in masks]
        write_regions(region_file, info, found, Generator("test", {}))
        made = read_regions(region_file)
        kept = made.annotations[1:]  # the first was dropped by pooling
        cluster = rng.integers(0, 2, count)
        features = (rng.normal(size=(count, 6)) + 4 * np.eye(6)[cluster]).astype(np.float32)
        everything.append(features)
        files[image] = root / "pooled" / extractor / kind / f"{image}.h5"
        files[image].parent.mkdir(parents=True, exist_ok=True)
        write_pooled(
            files[image], features, kept, ["pooled"] * count, image=info, regions_sha256=made.sha256, provenance={}
        )
        if count:
            cluster[0] = -1
        ids = [a["region_id"] for a in kept]
        label_file = root / "labels" / extractor / kind / f"{image}.json"
        label_file.parent.mkdir(parents=True, exist_ok=True)
        half = np.full(count, 0.5)
        write_labels(label_file, labels_of(image, ids, cluster, half, {}, regions_sha256=made.sha256))
    write_pooled_set(root / "pooled" / extractor / f"{kind}.h5", files, {})
    return np.concatenate(everything)


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, np.ndarray]:
    return tmp_path / "results", make_results(tmp_path / "results")


def test_arrays_agree_with_the_files(results: Any) -> None:
    root, features = results
    regions = regionflow.load(root)
    assert len(regions) == sum(IMAGES.values())
    assert np.array_equal(regions.features[:], features)
    assert regions.image_ids == list(IMAGES)
    assert regions.image[:7].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert regions.region[:4].tolist() == [1, 2, 3, 1]
    assert regions.region_id[3] == "sub/cat_region_1"
    assert regions.rows("sub/cat").tolist() == [3, 4, 5, 6]
    assert regions.rows("empty").tolist() == []
    assert set(regions.cluster) == {-1, 0, 1}
    assert np.array_equal(np.isnan(regions.distance), regions.cluster < 0)


def test_masks_are_the_pooled_regions(results: Any) -> None:
    regions = regionflow.load(results[0])
    for row in (0, 4, len(regions) - 1):
        mask = regions.mask(row)
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.sum() == regions.area[row]
        assert rle.bbox(rle.encode(mask)) == regions.bbox[row].tolist()


def test_mask_of_a_region_file_made_anew_is_refused(results: Any) -> None:
    root, _ = results
    region_file = root / "regions/default/dog.json"
    made = read_regions(region_file)
    write_regions(region_file, made.image, made.annotations[::-1], made.generator)
    regions = regionflow.load(root)
    with pytest.raises(ResultsError, match=r"dog\.json: its regions are not those that were pooled"):
        regions.mask(0)


def test_parents_are_rows_and_a_region_without_a_row_is_passed_over(tmp_path: Path) -> None:
    def box(side: int) -> Any:
        return annotation(rle.encode(np.pad(np.ones((side, side), bool), ((0, 8 - side), (0, 8 - side)))), "sam")

    files = {}
    for image in ("one", "two"):
        info, path = ImageInfo(image, f"{image}.jpg", 8, 8), tmp_path / f"regions/default/{image}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_regions(path, info, [box(8), box(6), box(4), box(2)], Generator("test", {}))
        made = read_regions(path)
        kept = [made.annotations[i] for i in (0, 2, 3)]  # the second was dropped by pooling
        files[image] = tmp_path / f"pooled/daisy_lab/default/{image}.h5"
        files[image].parent.mkdir(parents=True, exist_ok=True)
        features = np.zeros((3, 2), np.float32)
        write_pooled(
            files[image], features, kept, ["pooled"] * 3, image=info, regions_sha256=made.sha256, provenance={}
        )
    write_pooled_set(tmp_path / "pooled/daisy_lab/default.h5", files, {})
    regions = regionflow.load(tmp_path)
    assert regions.parent.tolist() == [-1, 0, 1, -1, 3, 4]
    assert regions.children(3).tolist() == [4]
    assert regions.children(2).tolist() == []


def test_table_has_a_record_per_region(results: Any) -> None:
    regions = regionflow.load(results[0])
    table = regions.table()
    assert table["image_id"][3] == "sub/cat"
    assert table["region_id"].tolist() == regions.region_id
    assert table["width"].tolist() == regions.bbox[:, 2].tolist()
    assert table["cluster"].tolist() == regions.cluster.tolist()


def test_blocks_are_all_features(results: Any) -> None:
    root, features = results
    regions = regionflow.load(root)
    blocks = list(regions.blocks(7))
    assert [rows.stop - rows.start for rows, _ in blocks] == [7, 7, 7, 7, 7, 7, 5]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), features)


def test_a_set_that_is_not_there_or_not_clear(results: Any, tmp_path: Path) -> None:
    root, _ = results
    with pytest.raises(ResultsError, match=r"nowhere: no such folder; run snakemake"):
        regionflow.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match=r"empty: no region features in it"):
        regionflow.load(tmp_path / "empty")
    with pytest.raises(ResultsError, match=r"no such set.*extractor='daisy_lab' regions='default'"):
        regionflow.load(root, extractor="dinov2")
    make_results(root, extractor="dinov2_vits14")
    with pytest.raises(ResultsError, match=r"several sets.*dinov2_vits14"):
        regionflow.load(root)
    assert regionflow.load(root, extractor="dinov2_vits14").extractor == "dinov2_vits14"


def test_files_that_have_gone_or_changed_are_told(results: Any) -> None:
    root, _ = results
    label = root / "labels/daisy_lab/default/dog.json"
    change_json(label, lambda content: content["regions"][1].update(region_id="dog_region_9"))
    with pytest.raises(ResultsError, match="'dog' are of different regions"):
        _ = regionflow.load(root).cluster
    label.unlink()
    with pytest.raises(BadFile, match=r"dog\.json: no such file; run snakemake"):
        _ = regionflow.load(root).cluster


def test_a_damaged_set_is_refused_before_anything_is_read(results: Any) -> None:
    path = results[0] / "pooled/daisy_lab/default.h5"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFile, match=r"default\.h5: .*its content does not have its checksum"):
        regionflow.load(results[0])


def run_example(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_nearest_regions_example(results: Any) -> None:
    root, features = results
    lines = run_example("nearest_regions.py", "dog", "2", "--results", str(root), "-k", "4").splitlines()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[1]))[1:5]
    regions = regionflow.load(root)
    assert [line.split()[-1] for line in lines[1:]] == [regions.region_id[row] for row in order]


def test_train_linear_example(results: Any) -> None:
    root, _ = results
    output = run_example("train_linear.py", "--results", str(root), "--epochs", "30")
    numbers = [float(number) for number in re.findall(r"\d\.\d{3}", output)]
    accuracy, accuracy_by_area, chance, _ = numbers
    assert min(accuracy, accuracy_by_area) > 0.9 > chance


def test_the_tour_runs_and_its_notebook_is_made_from_it(results: Any) -> None:
    root, features = results
    command = [sys.executable, str(EXAMPLES / "tour.py")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root.parent).stdout.splitlines()
    assert lines[0] == f"{len(features)} regions of {len(IMAGES)} images, 6 channels"
    assert len(lines) == 2 + 2 + 3
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text())["cells"]
    script = jupytext.read(EXAMPLES / "tour.py")["cells"]
    sources = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    assert sources == [[c["cell_type"], c["source"]] for c in script], "run `make notebook`"
    assert not any(cell.get("outputs") for cell in cells)
