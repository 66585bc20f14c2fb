"""The record and the figures of a training."""

import math
from pathlib import Path

import pytest

from regionflow.base.errors import BadFile
from regionflow.formats.training import read_metrics, read_record, write_metrics, write_record


def test_a_record_comes_back_and_what_a_row_does_not_have_stays_away(tmp_path: Path) -> None:
    rows = [{"step": 1.0, "loss": 0.1 + 0.2}, {"step": 2.0, "loss": float("nan"), "bias": 1.0}]
    write_record(tmp_path / "record.csv", rows)
    read = read_record(tmp_path / "record.csv")
    assert read[0] == rows[0]
    assert math.isnan(read[1]["loss"])
    assert read[1]["bias"] == 1.0
    write_record(tmp_path / "record.csv", [])
    assert read_record(tmp_path / "record.csv") == []


@pytest.mark.parametrize("text", ["step,loss\n1,none\n", "step\n1,2\n"])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.csv").write_text(text)
    with pytest.raises(BadFile, match="the record of a training"):
        read_record(tmp_path / "record.csv")
    with pytest.raises(BadFile, match=r"gone[.]csv"):
        read_record(tmp_path / "gone.csv")


def test_figures_that_cannot_be_told_are_null(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.json", {"loss": float("inf"), "of": "x", "agreement": [0.1, float("nan")]})
    assert read_metrics(tmp_path / "metrics.json", ("loss", "of")) == {
        "loss": None,
        "of": "x",
        "agreement": [0.1, None],
    }
    with pytest.raises(BadFile, match="without accuracy, images"):
        read_metrics(tmp_path / "metrics.json", ("accuracy", "loss", "images"))
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(BadFile, match="figures of a training"):
        read_metrics(tmp_path / "metrics.json")
