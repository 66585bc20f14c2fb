"""Records of what jobs cost: appended by several processes at once, the last of a job counts, damage is left out."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from regionflow.formats.records import Record, append_record, read_records, seconds_per_job

RECORD = Record(
    stage="masks", names={"segmenter": "sam", "image": "a/b"}, seconds=2.5, cpu_seconds=2.0, load_seconds=1.5,
    peak_mib=900.5, card_mib=0.0, slot="gpu-0", threads=1, batch=1, ended=1000.0,
)  # fmt: skip


def _append(folder: Path, number: int) -> None:
    for image in range(200):
        append_record(replace(RECORD, names={"image": f"{number}/{image}" + "x" * 300}), folder)


def test_what_several_processes_append_is_all_there(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.starmap(_append, [(tmp_path, number) for number in range(3)])
    names = {record.names["image"] for record in read_records("masks", tmp_path)}
    assert names == {f"{number}/{image}" + "x" * 300 for number in range(3) for image in range(200)}


def test_the_last_record_of_a_job_counts_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    append_record(RECORD, tmp_path)
    append_record(replace(RECORD, seconds=9.0, ended=2000.0), tmp_path)
    append_record(replace(RECORD, stage="masks_of_others"), tmp_path)
    (path,) = tmp_path.glob("masks-*.jsonl")
    (tmp_path / "masks-elsewhere.jsonl").write_bytes(path.read_bytes().splitlines()[0] + b'\n{"stage":"ma')
    (record,) = read_records("masks", tmp_path)
    assert record == replace(RECORD, seconds=9.0, ended=2000.0)
    assert read_records("features", tmp_path) == []


def test_seconds_per_image_are_those_without_the_loading_of_models() -> None:
    assert seconds_per_job([RECORD, replace(RECORD, seconds=2.0, load_seconds=0.0)]) == pytest.approx(1.5)
    assert seconds_per_job([]) is None
