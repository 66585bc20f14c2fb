"""The limit of open files: a set of any size is read and clustered to the same numbers whatever `ulimit -n` is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.digest import digests
from helpers.scenes import save_photos
from helpers.workflow import ROOT

PROGRAM = """
import hashlib, json, resource, sys
from pathlib import Path
import numpy as np
from regionflow.formats.pooled import SetColumn, write_pooled, write_pooled_set
from regionflow.formats.regions import ImageInfo
from regionflow.labels.kmeans import fit
from regionflow.labels.options import ClustersOptions

root, count, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
files = {}
for number in range(count):
    name, rng = f"i{number:05}", np.random.default_rng(number)
    files[name] = root / "set" / f"{name}.h5"
    if not files[name].exists():
        records = [
            {"id": i, "region_id": f"{name}_region_{i}", "area": 4, "bbox": [0, 0, 2, 2], "source": "sam"}
            for i in range(5)
        ]
        about = {"image": ImageInfo(name, name, 8, 8), "regions_sha256": "0" * 64, "provenance": {}}
        write_pooled(files[name], rng.normal(size=(5, 8)).astype(np.float32), records, ["pooled"] * 5, **about)
write_pooled_set(root / f"set-{limit}.h5", files, {})
features = SetColumn(root / f"set-{limit}.h5")
fitted = fit(features, ClustersOptions(k=4, batch_size=256, max_epochs=3))
rows = features[:]
print(json.dumps({
    "shape": rows.shape, "nan": int(np.isnan(rows).sum()), "sizes": fitted.sizes.tolist(),
    "features": hashlib.sha256(rows.tobytes()).hexdigest(),
    "centres": hashlib.sha256(fitted.centres.tobytes()).hexdigest(),
}))
"""


def run(root: Path, count: int, limit: int) -> dict:
    command = [sys.executable, "-c", PROGRAM, str(root), str(count), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def equal_under_a_limit(root: Path, count: int, limit: int) -> None:
    limited, free = run(root, count, limit), run(root, count, 0)
    assert limited == free
    assert (limited["shape"], limited["nan"], sum(limited["sizes"])) == ([5 * count, 8], 0, 5 * count)


def test_more_images_than_open_files(tmp_path: Path) -> None:
    equal_under_a_limit(tmp_path, 90, 64)


@pytest.mark.slow
def test_2000_images_at_64_open_files(tmp_path: Path) -> None:
    equal_under_a_limit(tmp_path, 2000, 64)


@pytest.mark.slow
@pytest.mark.parametrize("count", [120, 2000])
def test_a_run_at_64_open_files_equals_one_without_a_limit(tmp_path: Path, count: int) -> None:
    for side in ("limited", "free"):
        save_photos(tmp_path / side / "photos", [f"{number:04}.png" for number in range(count)], height=12, width=16)
        for photo in (tmp_path / side / "photos").iterdir():
            os.utime(photo, (0, 0))  # images.tsv tells the time
        (tmp_path / side / "config.json").write_text('{"images": {"dir": "photos"}, "clusters": {"k": 4}}')
        command = f"{sys.executable} -m snakemake -s {ROOT}/Snakefile --cores 1 --configfile config.json"
        limit = "ulimit -n 64; " if side == "limited" else ""
        done = subprocess.run(
            ["bash", "-c", f"{limit}exec {command}"], cwd=tmp_path / side, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert digests(tmp_path / "limited") == digests(tmp_path / "free")
