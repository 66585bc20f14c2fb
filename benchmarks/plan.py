"""How long Snakemake takes to plan many images, and in how much memory.

    python benchmarks/plan.py [--quick] [--images 100000] [--made 10000] [--batch 10000]

No stage runs; the images are empty files. Three plans: a dry run of everything, a dry run of one batch
of the same set (`--batch pooled_set=1/n`), and a dry run that finds nothing to do because everything is there
(`--made` images, given records by `--touch`). The last line is a JSON object with the figures.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from common import ROOT

# Snakemake waits a tenth of a second after each job that it touches; for 70000 jobs that is two hours.
TOUCH_AT_ONCE = """
from snakemake.executors.touch import Executor
from snakemake.cli import main
Executor.SLEEPING_TIME = 0
main()
"""
SET = "results/pooled/daisy_lab/default.h5"


@dataclass
class Plan:
    """Seconds and memory of one call of snakemake."""

    images: int
    jobs: int
    seconds: float
    max_rss_gb: float


def snakemake(folder: Path, *arguments: str) -> tuple[str, float, float]:
    """Output, seconds and peak memory in GB of one call."""
    command = [sys.executable, "-c", TOUCH_AT_ONCE, "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile=none", "--scheduler=greedy", "--scheduler-subsample=1000", "--cores=4"]
    command += ["--quiet=rules"]
    command += ["--configfile", str(folder / "config.yaml"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    begin = time.perf_counter()
    with (folder / "console.txt").open("wb") as console:
        process = subprocess.Popen(command, env=environment, stdout=console, stderr=console)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    output = (folder / "console.txt").read_text()
    if status:
        sys.exit(output[-5000:])
    return output, seconds, usage.ru_maxrss / 1e6


def plan(folder: Path, images: int, *arguments: str) -> Plan:
    """Time a dry run."""
    output, seconds, memory = snakemake(folder, "-n", *arguments)
    total = re.findall(r"^total\s+(\d+)", output, re.MULTILINE)
    return Plan(images, int(total[-1]) if total else 0, round(seconds, 1), round(memory, 2))


def workspace(folder: Path, images: int) -> Path:
    """A folder with that many empty images, a thousand to a sub-folder."""
    for number in range(images):
        path = folder / f"photos/{number // 1000:04d}/{number:07d}.jpg"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    (folder / "config.yaml").write_text("images: {dir: photos}\n")
    return folder


def make_everything(folder: Path) -> None:
    """Empty files for all outputs, and Snakemake's records of them."""
    listing, _, _ = snakemake(folder, "-n", "--quiet", "host")  # not quiet about rules: the outputs are wanted
    for line in re.findall(r"^    output: (.*)$", listing, re.MULTILINE):
        for file in line.split(", "):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
    snakemake(folder, "--touch", "--forceall")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1000 images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--made", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=10_000, help="images in one batch")
    arguments = parser.parse_args()
    images, made, batch = arguments.images, arguments.made, arguments.batch
    if arguments.quick:
        images, made, batch = 1000, 200, 100
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':16}{'images':>9}{'jobs':>9}{'seconds':>9}{'GB':>7}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        whole = workspace(Path(name) / "whole", images)
        part = ("--batch", f"pooled_set=1/{-(-images // batch)}", SET)
        one_batch = shown("one batch", plan(whole, batch, *part))
        everything = shown("everything", plan(whole, images))
        few = workspace(Path(name) / "made", made)
        make_everything(few)
        nothing = shown("nothing to do", plan(few, made))
    if nothing.jobs:
        sys.exit("the records of a finished run did not satisfy Snakemake")
    print(json.dumps({**asdict(everything), "one_batch": asdict(one_batch), "nothing_to_do": asdict(nothing)}))


def shown(title: str, measured: Plan) -> Plan:
    """Print a row at once: the next may take half an hour."""
    row = f"{measured.images:9}{measured.jobs:9}{measured.seconds:9.1f}{measured.max_rss_gb:7.2f}"
    print(f"{title:16}{row}", flush=True)
    return measured


if __name__ == "__main__":
    main()
