"""What a set of small photos costs with the stages that need no weights, as one run and in shards.

    python benchmarks/scale.py [--quick] [--images 300] [--size 128x96] [--shards 0] [--slots 2] [--keep FOLDER]

The photos are crops of the sample photos inside the installed packages, the same for the same numbers. Sides: the
configuration as it ships, in one level (`runtime.shard_images: 0`); with `--shards N` the same in shards of about N
images; and for each what `snakemake -n` takes afterwards, which must find nothing to do. Wall and CPU seconds are of
all processes, residents included; memory is that of the largest process. Where other work runs on the machine CPU
seconds tell more than wall time. Below them the CPU seconds that stages took in residents (logs/records); what is left
is Snakemake, the starts, and what a job costs around its stage. The files of both sides are compared, and the last
line is a JSON object with the figures.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT
from orchestration import _PR_SET_CHILD_SUBREAPER, Clock, Cost

STAGES = ("images", "features", "masks", "superpixels", "regions", "pooled", "labels", "overlay")


def save_crops(folder: Path, images: int, width: int, height: int) -> None:
    """Crops of the sample photos, by a seed: half of a photo's sides at least, made smaller; 1,000 to a sub-folder."""
    import numpy as np
    from PIL import Image

    from regionflow.images.find import sample_photos

    rng = np.random.default_rng(0)
    photos = [Image.open(path).convert("RGB") for path in sample_photos()]
    for number in range(images):
        photo = photos[number % len(photos)]
        part = rng.uniform(0.5, 1)
        scale = part * min(photo.width / width, photo.height / height)
        w, h = round(width * scale), round(height * scale)
        x, y = rng.integers(0, photo.width - w + 1), rng.integers(0, photo.height - h + 1)
        path = folder / f"{number // 1000:03d}/{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop = photo.resize((width, height), Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))
        crop.save(path, quality=95)
        os.utime(path, (0, 0))  # images.tsv tells the time, and files of several sides are compared


@dataclass
class Spent(Cost):
    """With the memory of the largest process."""

    max_rss_gb: float


def snakemake(folder: Path, slots: int, shards: int, *arguments: str) -> Spent:
    """One call with the default profile in the folder; its console is console.txt."""
    config = {"images": {"dir": "photos"}, "runtime": {"shard_images": shards}}
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile", str(ROOT / "profiles/default"), "--cores", str(slots), *arguments]
    command += ["--configfile", str(folder / "config.json")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "REGIONFLOW_IDLE_SECONDS": "300",
    }
    with Clock() as clock, (folder / "console.txt").open("wb") as console:
        process = subprocess.Popen(command, env=environment, stdout=console, stderr=console)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "console.txt").read_text()[-5000:])
    return Spent(clock.cost.wall, clock.cost.cpu, max(usage.ru_maxrss / 1e6, clock.max_rss_gb))


def stage_seconds(folder: Path) -> dict[str, float]:
    """CPU seconds of each stage in the residents."""
    from regionflow.formats.records import read_records

    stages = {path.name.rpartition("-")[0] for path in (folder / "logs/records").glob("*.jsonl")}
    order = sorted(stages, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))
    return {s: sum(record.cpu_seconds for record in read_records(s, folder / "logs/records")) for s in order}


def side(name: str, folder: Path, slots: int, shards: int, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Everything from nothing, then nothing to do; printed at once, since the next side may take an hour."""
    made = snakemake(folder, slots, shards)
    stages = stage_seconds(folder)
    again = snakemake(folder, slots, shards, "-n")
    if "Nothing to be done" not in (console := (folder / "console.txt").read_text()):
        sys.exit(f"there is something left to do after a whole run:\n{console[-3000:]}")
    images = shown["images"]
    around = made.cpu - sum(stages.values())
    print(f"{name:28}{made.wall:10.1f}{made.cpu:10.1f}{made.max_rss_gb:8.2f}")
    print(f"{'  nothing to do (-n)':28}{again.wall:10.1f}{again.cpu:10.1f}{again.max_rss_gb:8.2f}")
    for stage, seconds in {**stages, "all around the stages": around}.items():
        print(f"    {stage:34}{seconds:10.1f}   {1000 * seconds / images:8.2f} ms an image", flush=True)
    return {
        "wall": made.wall,
        "cpu": made.cpu,
        "cpu_ms_per_image": 1000 * made.cpu / images,
        "around_ms_per_image": 1000 * around / images,
        "max_rss_gb": made.max_rss_gb,
        "again_wall": again.wall,
        "again_cpu": again.cpu,
    }


def main() -> None:
    from helpers.digest import digests

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="12 images, in shards too: shows that it works")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--size", default="128x96", help="width and height of the photos")
    parser.add_argument("--shards", type=int, default=0, help="images in a shard of a second side; 0: no such side")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="work in this folder, which must not exist, and leave it")
    arguments = parser.parse_args()
    images, shards = (12, 4) if arguments.quick else (arguments.images, arguments.shards)
    width, height = map(int, arguments.size.split("x"))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    figures: dict[str, Any] = {"images": images, "size": arguments.size, "slots": arguments.slots, "shards": shards}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {images} photos of {arguments.size}")
    print(f"{'':28}{'wall s':>10}{'CPU s':>10}{'GB':>8}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        sides = {"whole": 0, **({"sharded": shards} if shards else {})}
        for title, size in sides.items():
            save_crops(folder / title / "photos", images, width, height)
            figures[title] = side(title, folder / title, arguments.slots, size, figures)
        if shards:
            whole, sharded = (_without_summaries(digests(folder / title)) for title in sides)
            figures["files"], figures["files_equal"] = len(whole), whole == sharded
    print(json.dumps(figures))
    if not figures.get("files_equal", True):
        sys.exit("the files of a run in shards differ")


def _without_summaries(files: dict[str, str]) -> dict[str, str]:
    """The summaries of shards are there in shards only."""
    return {path: digest for path, digest in files.items() if not path.startswith("results/shards/")}


if __name__ == "__main__":
    main()
