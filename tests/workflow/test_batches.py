"""Sets too large for one plan: --batch on the set's file, part by part, and a last run for what needs the whole set."""

import shutil
from pathlib import Path

import pytest

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import Workspace

SET = "results/pooled/daisy_lab/default.h5"


def make(folder: Path, images: int) -> Workspace:
    workspace = Workspace(folder, {"images": {"dir": "photos"}, "clusters": {"k": 4}})
    save_photos(workspace.path("photos"), [f"{number:02d}.png" for number in range(images)])
    return workspace


@pytest.mark.slow
def test_five_batches_of_fifty_images_give_the_files_of_one_run(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole", 50)
    shutil.copytree(whole.folder, tmp_path / "parts")  # images.tsv tells when a file was modified
    parts = Workspace(tmp_path / "parts", whole.config)
    whole.snakemake()
    for batch in range(1, 6):
        parts.snakemake(SET, "--batch", f"pooled_set={batch}/5")
        pooled = list(parts.path("results/pooled/daisy_lab/default").glob("*.h5"))
        assert abs(len(pooled) - 10 * batch) <= 1  # the table of images is one of the 51 inputs
        assert parts.path(SET).exists() == (batch == 5)
    parts.snakemake()
    assert digests(parts.folder) == digests(whole.folder)
    assert "Nothing to be done" in parts.snakemake("-n").output
