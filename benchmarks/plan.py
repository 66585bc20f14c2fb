"""How long it takes to plan a large set in shards, and in how much memory.

    python benchmarks/plan.py [--quick] [--images 100000] [--most 1000000] [--whole 5000]

No stage of single images runs and the images are empty files. Plans of `--images`: everything; nothing to do, where
the summaries of the shards are trusted; the same where every file is looked at. One of `--most`: everything. For
comparison one of `--whole` images without shards. For those with nothing to do the outer run is a real one, whose inner
runs are pretended: they make empty files. The last line is a JSON object with the figures.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import ROOT

# The outer run is Snakemake; what the inner runs find under that name is this.
OUTER = "import sys; sys.path.remove({pretended!r}); from snakemake.cli import main; main()"
PRETENDED = """
from pathlib import Path
from regionflow.run.inner import Inner
made = set()
for name in Inner.current().targets():
    file = Path(name)
    if file.parent not in made:
        file.parent.mkdir(parents=True, exist_ok=True)
        made.add(file.parent)
    file.touch()
"""


@dataclass
class Plan:
    """Wall and CPU seconds and memory of one call of snakemake, and its jobs."""

    images: int
    jobs: int
    seconds: float
    cpu: float
    max_rss_gb: float


def snakemake(folder: Path, *arguments: str, **runtime: object) -> tuple[str, float, float, float]:
    """Output, wall and CPU seconds and peak memory in GB of one call."""
    pretended = str(folder.parent / "pretended")
    config = {"images": {"dir": "photos"}, "runtime": {"shard_images": 1000, **runtime}}
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-c", OUTER.format(pretended=pretended), "-s", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.json")]
    command += ["--workflow-profile=none", "--scheduler=greedy", "--scheduler-subsample=1000", "--cores=2"]
    command += ["--quiet=rules", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{pretended}:{ROOT / 'src'}", "CUDA_VISIBLE_DEVICES": ""}
    begin = time.perf_counter()
    with (folder / "console.txt").open("wb") as console:
        process = subprocess.Popen(command, env=environment, stdout=console, stderr=console)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    output = (folder / "console.txt").read_text()
    if status:
        sys.exit(output[-5000:])
    return output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def plan(folder: Path, images: int, **runtime: object) -> Plan:
    """Time a dry run."""
    output, seconds, cpu, memory = snakemake(folder, "-n", **runtime)
    total = re.findall(r"^total\s+(\d+)", output, re.MULTILINE)
    return Plan(images, int(total[-1]) if total else 0, round(seconds, 1), round(cpu, 1), round(memory, 2))


def workspace(folder: Path, images: int) -> Path:
    """A folder with that many empty images, a thousand to a sub-folder."""
    for number in range(images):
        path = folder / f"photos/{number // 1000:04d}/{number:07d}.jpg"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5000, 20000 and 500 images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--whole", type=int, default=5_000, help="images of the plan without shards")
    arguments = parser.parse_args()
    images, most, whole = arguments.images, arguments.most, arguments.whole
    if arguments.quick:
        images, most, whole = 5000, 20_000, 500
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':28}{'images':>9}{'jobs':>9}{'wall s':>9}{'CPU s':>9}{'GB':>7}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        pretended = Path(name) / "pretended/snakemake"
        pretended.mkdir(parents=True)
        (pretended / "__init__.py").touch()
        (pretended / "__main__.py").write_text(PRETENDED)
        one_level = shown("without shards", plan(workspace(Path(name) / "whole", whole), whole, shard_images=0))
        folder = workspace(Path(name) / "images", images)
        everything = shown("everything", plan(folder, images))
        snakemake(folder)
        trusted = shown("nothing to do, trusted", plan(folder, images, check_files=False))
        checked = shown("nothing to do, looked at", plan(folder, images))
        million = shown("everything", plan(workspace(Path(name) / "most", most), most))
    if trusted.jobs or checked.jobs:
        sys.exit("the records of a finished run did not satisfy Snakemake")
    figures = {
        "images": images,
        "sharded_100k_seconds": everything.seconds,
        "sharded_100k_gb": everything.max_rss_gb,
        "sharded_100k_cpu": everything.cpu,
        "noop_100k_seconds": trusted.seconds,
        "noop_100k_cpu": trusted.cpu,
        "noop_100k_checked_seconds": checked.seconds,
        "noop_100k_checked_cpu": checked.cpu,
        "most": most,
        "sharded_1m_seconds": million.seconds,
        "sharded_1m_cpu": million.cpu,
        "sharded_1m_gb": million.max_rss_gb,
        "whole": whole,
        "whole_seconds": one_level.seconds,
        "whole_gb": one_level.max_rss_gb,
    }
    print(json.dumps(figures))


def shown(title: str, measured: Plan) -> Plan:
    """Print a row at once: the next may take minutes."""
    row = f"{measured.images:9}{measured.jobs:9}{measured.seconds:9.1f}{measured.cpu:9.1f}{measured.max_rss_gb:7.2f}"
    print(f"{title:28}{row}", flush=True)
    return measured


if __name__ == "__main__":
    main()
