"""The programs under examples/ run over a small set, and end with a sentence where they cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.small_results import make

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    make(folder / "results", images=tuple("abcdefghij"), regions=6)
    (folder / "wrong.tsv").write_text("region\tname\n")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    name, *more = arguments
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / name), *more]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nearest_regions.py", "a", "2", "-k", "3"], "_region_"),
        (["train_linear.py", "--epochs", "2"], "accuracy by region"),
        (["tour.py"], "60 regions of 10 images"),
    ],
)
def test_an_example_runs(folder, arguments, told):
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nearest_regions.py", "z", "2"], "'z' is no image of results; there are a"),
        (["nearest_regions.py", "a", "99"], "a has no region 99"),
        (["nearest_regions.py", "a", "2", "--results", "elsewhere"], "elsewhere: no such folder"),
        (["train_linear.py", "--labels", "none.tsv"], "none.tsv: no table with the columns region_id and class"),
        (["train_linear.py", "--labels", "wrong.tsv"], "labelled regions are too few"),
        (["train_linear.py", "--results", "elsewhere"], "elsewhere: no such folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder, arguments, sentence):
    done = run(folder, *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr and "Traceback" not in done.stderr
