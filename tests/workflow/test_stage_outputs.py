"""Changed output needs a raised version: what every stage writes for two small photos is on record, with its version.

Snakemake sees the code of a stage by its version in `regionflow.run.stages` alone. When this test fails, raise the
version of the stage it names if its output was meant to change, and record the new outputs:

    REGIONFLOW_RECORD=1 python -m pytest tests/workflow/test_stage_outputs.py
"""

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load_file

from helpers.forked import snakemake
from helpers.planned import SCRIPTS, begun, jobs_in
from helpers.scenes import save_photos
from helpers.small_sam import LOW_THRESHOLDS
from regionflow.run import stage
from regionflow.run.job import ModelCache
from regionflow.run.stages import STAGES

RECORD = Path(__file__).with_name("stage_outputs.json")
CONFIG = {
    "images": {"dir": "photos"},
    # The embedded weights: those of the random SAM of other tests are fitted, and so differ from CPU to CPU.
    "segmenters": {"small": {"type": "sam", "model": "sam_tiny", **LOW_THRESHOLDS, "points_per_side": 4}},
    "regions": {"default": {"segmenter": "small"}},
    "extractors": {"vit": {"type": "timm", "model": "test_vit", "random_seed": 0}},
    "labelers": {"few": {"type": "examples", "examples": "examples.tsv", "extractor": "daisy_lab", "suggestions": 3}},
    "targets": {"extractors": ["daisy_lab", "vit"], "labelers": ["few"]},
    "clusters": {"k": [3, 2]},
    "truth": {"type": "label_maps", "dir": "truth", "values": "classes", "classes": "classes.csv"},
    "exports": {"coco": {"images": "copy"}, "tables": ["csv", "parquet"]},
    "parts": {
        "teacher": {"segmenter": "small", "grid": 4},
        "embedder": {"model": "test_vit", "random_seed": 0},
        "student": {"size": 32, "patch_size": 2, "dim": 64},
        "training": {"epochs": 2, "optimiser": "adamw"},
        "probe": {"epochs": 2},
    },
}
EXAMPLES = "image\tx\ty\tclass\na\t5\t5\tone\na\t60\t48\ttwo\nb\t5\t90\tone\nb\t60\t48\tthree\n"
TARGETS = [
    "all",
    "export",
    "evaluate",
    "parts",
    "results/masks/merge_tree/a.json",
    "results/report/index.html",
    "results/report/evaluation.html",
]
# What the stage weights writes is the file that was asked for; the probe of parts needs images in folders of their
# classes, and tests/workflow/test_parts.py runs it.
NOT_RECORDED = {"weights", "parts_probe", "parts_test"}
# What a file says about how it was made, and what differs from machine to machine in the last bits.
LEFT_OUT = {"generator", "provenance", "counts", "rle", "library_version", "params", "weights_sha256"}
LEFT_OUT |= {"sha256", "regions_sha256", "colours", "teacher"}


def summary(path: Path) -> Any:
    """What a file holds, in numbers that are alike on every machine and differ when the content does."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            arrays = {name: item for name, item in sorted(file.items()) if isinstance(item, h5py.Dataset)}
            return {name: numbers(item[()]) for name, item in arrays.items() if name not in LEFT_OUT}
    if path.suffix in (".png", ".jpg"):
        return numbers(np.asarray(Image.open(path)))
    if path.suffix in (".tsv", ".csv", ".parquet"):
        return cells(path)
    if path.suffix == ".safetensors":
        return {name: numbers(tensor.numpy()) for name, tensor in sorted(load_file(path).items())}
    if path.suffix in (".html", ".svg", ".xml"):
        text = path.read_text()
        return [len(text), text.count("<")]
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    return [plain(json.loads(line)) for line in lines] if len(lines) > 1 else plain(json.loads(lines[0]))


def cells(path: Path) -> Any:
    """What a table holds."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return {name: [str(table.schema.field(name).type), *table[name].to_pylist()] for name in table.column_names}
    with path.open() as file:
        rows = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    kept = [i for i, name in enumerate(rows[0]) if name not in ("seconds", "seconds_per_image")]
    return [[number(row[i]) for i in kept] for row in rows if not row[0].startswith("#")]


def number(cell: str) -> float | str:
    """The number that a cell of a table holds, or its text."""
    try:
        return float(cell)
    except ValueError:
        return cell


def numbers(values: NDArray) -> Any:
    """Shape, mean and spread of an array of numbers; of others the values."""
    if values.dtype.kind not in "biuf":
        return [str(value) for value in values.ravel()]
    values = values.astype(np.float64)
    return [list(values.shape), *([round(values.mean(), 6), round(values.std(), 6)] if values.size else [])]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key not in LEFT_OUT}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def alike(one: Any, other: Any) -> bool:
    """Equal but for a hundredth in a number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == pytest.approx(other, rel=1e-2, abs=1e-3)
    return one == other


def one_line_per_file(stages: dict[str, dict[str, Any]]) -> str:
    """JSON with a line for each stage and each of its files, so that a diff can be read."""
    parts = []
    for name in sorted(stages):
        files = [
            f"  {json.dumps(f)}: {json.dumps(v, sort_keys=True)}" for f, v in sorted(stages[name]["outputs"].items())
        ]
        head = f' {json.dumps(name)}: {{"version": {stages[name]["version"]}, "outputs": {{\n'
        parts.append(head + ",\n".join(files) + "\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Version and summaries of the outputs of every stage."""
    folder = tmp_path_factory.mktemp("outputs")
    save_photos(folder / "photos", ["a.png", "b.png"])
    for photo in (folder / "photos").iterdir():
        os.utime(photo, (1_700_000_000, 1_700_000_000))  # the table of images has it
    (folder / "examples.tsv").write_text(EXAMPLES)
    (folder / "truth").mkdir()
    (folder / "classes.csv").write_text("value,name\n0,one\n1,two\n2,three\n")
    for image in ("a", "b"):
        Image.fromarray(np.arange(96 * 120, dtype=np.uint32).reshape(96, 120).astype(np.uint16) // 4000).save(
            folder / f"truth/{image}.png"
        )
    configuration = folder / "config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIG))
    plan = snakemake(folder, configuration, "-n", "-p", *TARGETS)
    assert plan.code == 0, plan.output
    stages: dict[str, dict[str, Any]] = {}
    models = ModelCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for description in jobs_in(plan.output):
            with begun(description, models) as (job, outputs):
                stage.run(job, SCRIPTS)
            entry = stages.setdefault(job.stage, {"version": STAGES[job.stage].version, "outputs": {}})
            entry["outputs"] |= {str(final): summary(final) for _, final in outputs}
    if os.environ.get("REGIONFLOW_RECORD"):
        RECORD.write_text(one_line_per_file(stages))
    return stages


def test_every_stage_is_on_record(written) -> None:
    assert set(written) == STAGES.keys() - NOT_RECORDED == set(json.loads(RECORD.read_text()))


@pytest.mark.parametrize("name", sorted(STAGES.keys() - NOT_RECORDED))
def test_output_is_that_on_record_for_this_version(written, name: str) -> None:
    recorded, now = json.loads(RECORD.read_text())[name], written[name]
    same = alike(recorded["outputs"], now["outputs"])
    if recorded["version"] == now["version"]:
        assert same, (
            f"the output of stage {name!r} has changed: raise its version in regionflow.run.stages, then record"
        )
    else:
        assert same, f"stage {name!r} has a new version: record its outputs (see the head of this file)"


def test_a_change_of_a_few_percent_or_of_one_name_is_seen() -> None:
    assert alike({"a": [1.0, "x"]}, {"a": [1.001, "x"]})
    assert not alike({"a": [1.0, "x"]}, {"a": [1.05, "x"]})
    assert not alike({"a": [1.0, "x"]}, {"a": [1.0, "y"]})
    assert not alike({"a": [1.0]}, {"a": [1.0, 2.0]})
