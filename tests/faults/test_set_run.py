"""A folder of everything that can be wrong: the run ends well, each fault is a line, the images are intact."""

import csv
import os

import h5py
import numpy as np
import tifffile
from PIL import Image

from helpers.damaged_images import exif, photo
from helpers.workflow import Workspace


def test_a_hostile_folder_is_one_run_with_a_line_for_every_fault(tmp_path):
    work = Workspace(tmp_path, {"images": {"dir": "."}, "clusters": {"k": 3}})
    pixels = photo(48, 64)
    for name in ("Train/fine.png", "Test/a.png", "Train/<x>.png"):
        work.path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(work.path(name))
    work.config["images"]["split_from"] = "folder"
    Image.fromarray(pixels).save(work.path("Train/phone.avif"), exif=exif(6))
    (work.path("Train") / os.fsdecode(b"m\xfcller.png")).write_bytes(b"x")
    os.mkfifo(work.path("Train/pipe.jpg"))
    work.path("Train/annexed.png").symlink_to("nowhere/object.png")
    work.path("Train/empty.jpg").touch()
    nir = np.dstack([pixels, 255 - pixels[..., 0]])
    tifffile.imwrite(work.path("Train/nir.tif"), nir, photometric="rgb", extrasamples=["unassalpha"])
    work.path("Train/movie.mp4").touch()
    output = work.snakemake().output
    with work.path("results/problems.tsv").open() as file:
        problems = {row["path"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file, delimiter="\t")}
    assert problems.keys() == {"<x>.png", "m\\xfcller.png", "pipe.jpg", "annexed.png", "empty.jpg", "nir.tif"}
    assert all(name in output and reason in output for name, reason in problems.items())
    assert ".mp4 1" in output
    assert "cluster centres are fitted to 6 of 7 images: those of the split train" in output
    with h5py.File(work.path("results/pooled/daisy_lab/default.h5")) as file:
        assert np.isfinite(file["features"][:]).all()
        assert len(file["features"]) > 0
    again = work.snakemake("-n").output
    assert "Nothing to be done" in again
    assert sorted(path.name for path in (tmp_path / "results/superpixels/slic").iterdir()) == ["Test", "Train"]
