"""What Snakemake and the warm workers cost: the workflow against a plain Python loop over the same jobs.

    python benchmarks/orchestration.py [--quick] [--images 200] [--slots 2]

The sides take the same photos, a small SAM and a small ViT with random weights:

- executor: `snakemake --cores SLOTS --resources gpu=SLOTS` with profiles/default, from nothing to everything;
- client: the same with `--executor local --scheduler greedy`: a shell and a client process for each job;
- loop: the same jobs, taken from `snakemake -n -p`, stage after stage in as many worker processes;
- long stages: one stage of 0.3 s of CPU time a job, by the executor and by a loop;
- cold: the workflow with runtime.warm: false, on the first images only, against a warm run on the same.

The floor is Snakemake's own: an executor that makes empty outputs at once, in its process. All files are compared. CPU
seconds are of all processes, the residents included: where other work runs on the machine they tell more than wall
time. The last line is a JSON object with the figures: ms_per_job is what the workflow takes longer than the loop, the
start of snakemake and of the residents included; floor_over_plain_loop is what wall_over_plain_loop would be if
Snakemake's own cost per job alone came on top.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from common import ROOT

_PR_SET_CHILD_SUBREAPER = 36

FLOOR = """
rule all:
    input: [f"out/{i}.{stage}" for i in range(IMAGES) for stage in range(STAGES)]
rule made:
    output: "out/{i}.{stage}"
    log: "logs/{i}.{stage}.log"
    shell: "exec touch {output} > {log} 2>&1"
"""
FLOOR_EXECUTOR = '''"""Makes empty outputs at once."""
from pathlib import Path
from snakemake.executors.local import Executor as Local, common_settings
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo


class Executor(Local):
    def run_job(self, job):
        info = SubmittedJobInfo(job=job)
        self.workflow.async_run(job.prepare())
        self.report_job_submission(info)
        for file in job.output:
            Path(file).touch()
        self.report_job_success(info)
'''
LONG = """
import json
include: "RULES/slots.smk"
from regionflow.run.handover import RUN
plan_slots(workflow, scripts=Path(workflow.basedir) / "scripts")
rule all:
    input: [f"out/{i}.txt" for i in range(JOBS)]
rule spin:
    output: "out/{i}.txt"
    log: "logs/{i}.log"
    params:
        client=lambda wildcards, resources: client_command("cpu"),
        job=lambda wildcards, output: json.dumps(
            {"stage": "spin", "inputs": {}, "outputs": {"text": output[0]}, "options": {}, "threads": 1}
        ),
    shell: RUN
"""
SPIN = """
import time

def run(job):
    begin = time.process_time()
    while time.process_time() < begin + 0.3:
        pass
    job.outputs["text"].write_text("done")
"""


@dataclass
class Cost:
    """Wall and CPU seconds of a side."""

    wall: float
    cpu: float


CLIENT = ("--executor", "local", "--scheduler", "greedy")


def snakemake(folder: Path, *arguments: str, snakefile: Path = ROOT / "Snakefile", plugins: Path | None = None) -> str:
    """Run snakemake in the folder with the default profile. Returns what it printed."""
    command = [sys.executable, "-m", "snakemake", "-s", str(snakefile), "--directory", str(folder), *arguments]
    command += ["--workflow-profile", str(ROOT / "profiles/default")]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}:{plugins or ''}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


class Clock:
    """Times what happens inside it, its orphaned processes included: they become ours, and end soon after.

    `max_rss_gb` is of the largest of these.
    """

    max_rss_gb = 0.0

    def __enter__(self) -> "Clock":
        self._before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        wall = time.perf_counter() - self._begin
        while True:
            try:
                self.max_rss_gb = max(self.max_rss_gb, os.wait3(0)[2].ru_maxrss / 1e6)
            except ChildProcessError:
                break
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - self._before.ru_utime - self._before.ru_stime
        self.cost = Cost(wall, cpu)


def workspace(folder: Path, photos: int, warm: bool = True) -> Path:
    """A folder with photos, weights and a configuration."""
    import yaml

    from helpers.scenes import save_photos
    from helpers.small_sam import LOW_THRESHOLDS, save_small_sam

    folder.mkdir(parents=True)
    save_photos(folder / "photos", [f"{number:05d}.png" for number in range(photos)])
    for photo in (folder / "photos").iterdir():
        os.utime(photo, (0, 0))  # images.tsv tells the time, and files of several sides are compared
    save_small_sam(folder / "sam.pth")
    config = {
        "images": {"dir": "photos"},
        "segmenters": {"small_sam": {"type": "sam", "checkpoint": "sam.pth", **LOW_THRESHOLDS, "points_per_side": 6}},
        "extractors": {"small_vit": {"type": "timm", "model": "test_vit", "random_seed": 0}},
        "regions": {"default": {"segmenter": "small_sam"}},
        "targets": {"extractors": ["small_vit"], "regions": ["default"]},
        "runtime": {"warm": warm},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def run_workflow(folder: Path, slots: int, *more: str) -> Cost:
    """All targets of the folder, from nothing."""
    arguments = ["--cores", str(slots), "--resources", f"gpu={slots}", "--configfile", str(folder / "config.yaml")]
    with Clock() as clock:
        snakemake(folder, *arguments, *more)
    return clock.cost


def planned_jobs(folder: Path, slots: int) -> list[dict[str, Any]]:
    """The jobs that the workflow would run, in an order in which they can run."""
    from helpers.planned import jobs_in

    listing = snakemake(folder, "-n", "-p", "--cores", str(slots), "--configfile", str(folder / "config.yaml"))
    return jobs_in(listing)


def _start_worker(folder: Path, scripts: Path) -> None:
    from regionflow.run.job import ModelCache

    os.chdir(folder)
    _start_worker.scripts = scripts  # type: ignore[attr-defined]
    _start_worker.models = ModelCache()  # type: ignore[attr-defined]


def _run_job(job: str) -> None:
    from regionflow.run import stage

    prepared, outputs = stage.read(job, str(os.getpid()), "cpu", _start_worker.models)  # type: ignore[attr-defined]
    for _, final in outputs:
        final.parent.mkdir(parents=True, exist_ok=True)
    stage.run(prepared, _start_worker.scripts)  # type: ignore[attr-defined]
    for temporary, final in outputs:
        temporary.replace(final)


def run_loop(folder: Path, jobs: list[dict[str, Any]], slots: int, scripts: Path = ROOT / "workflow/scripts") -> Cost:
    """The same jobs in worker processes without Snakemake, one stage after the other."""
    with Clock() as clock:
        loop = multiprocessing.get_context("fork").Process(target=_loop, args=(folder, jobs, slots, scripts))
        loop.start()
        loop.join()
        if loop.exitcode:
            sys.exit("the plain loop failed")
    return clock.cost


def _loop(folder: Path, jobs: list[dict[str, Any]], slots: int, scripts: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(slots, _start_worker, (folder, scripts)) as pool:
        for _, batch in groupby(by_stage(jobs), key=lambda job: job["stage"]):
            for _ in pool.imap_unordered(_run_job, [json.dumps({**job, "threads": 1}) for job in batch]):
                pass


def by_stage(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs stage by stage, each stage where its last job was: all that it reads comes before."""
    last = {job["stage"]: place for place, job in enumerate(jobs)}
    return sorted(jobs, key=lambda job: last[job["stage"]])


def floor(folder: Path, images: int, stages: int, slots: int) -> tuple[float, float]:
    """Wall and CPU milliseconds that a job costs Snakemake itself, its start not counted."""
    (folder / "snakemake_executor_plugin_floor").mkdir()
    (folder / "snakemake_executor_plugin_floor/__init__.py").write_text(FLOOR_EXECUTOR)
    costs = []
    for count in (1, images):
        place = folder / f"floor{count}"
        place.mkdir()
        (place / "Snakefile").write_text(f"IMAGES, STAGES = {count}, {stages}\n" + FLOOR)
        with Clock() as clock:
            snakemake(
                place, "--cores", str(slots), "--executor", "floor", snakefile=place / "Snakefile", plugins=folder
            )
        costs.append(clock.cost)
    jobs = (images - 1) * stages / 1000
    return (costs[1].wall - costs[0].wall) / jobs, (costs[1].cpu - costs[0].cpu) / jobs


def long_stages(folder: Path, jobs: int, slots: int) -> tuple[Cost, Cost]:
    """Jobs of 0.3 s of CPU time each: by the executor, and by a loop in as many processes."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts/spin.py").write_text(SPIN)
    (folder / "Snakefile").write_text(f"JOBS = {jobs}\n" + LONG.replace("RULES", str(ROOT / "rules")))
    with Clock() as executor:
        snakemake(folder, "--cores", str(slots), snakefile=folder / "Snakefile")
    job = {"stage": "spin", "inputs": {}, "options": {}}
    listed = [{**job, "outputs": {"text": str(folder / f"loop/{i}.txt")}} for i in range(jobs)]
    return executor.cost, run_loop(folder, listed, slots, folder / "scripts")


def model_loads(folder: Path) -> Counter[str]:
    """Model loads per stage, as the job logs tell."""
    loads: Counter[str] = Counter()
    for log in (folder / "logs").rglob("*.log"):
        for stage, number in re.findall(r"^(\w+): .*; models loaded: (\d+)$", log.read_text(), re.MULTILINE):
            loads[stage] += int(number)
    return +loads


def rows(figures: dict[str, Any], sides: dict[str, Cost]) -> Iterator[str]:
    yield f"{'':28}{'wall s':>10}{'CPU s':>10}"
    for name, cost in sides.items():
        yield f"{name:28}{cost.wall:10.1f}{cost.cpu:10.1f}"
    for name, value in figures.items():
        yield f"{name:28}{value:>10}" if isinstance(value, int | bool) else f"{name:28}{value:10.3f}"


def main() -> None:
    from helpers.digest import digests

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few images: shows that it works, not how fast it is")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--cold-images", type=int, default=20)
    parser.add_argument("--long-jobs", type=int, default=200)
    parser.add_argument("--slots", type=int, default=2)
    arguments = parser.parse_args()
    images, cold_images = (12, 2) if arguments.quick else (arguments.images, arguments.cold_images)
    slots = arguments.slots
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides: dict[str, Cost] = {}
        ours, client, loop = (workspace(folder / name, images) for name in ("ours", "client", "loop"))
        jobs = planned_jobs(loop, slots)
        sides[f"executor, {images} images"] = by_executor = run_workflow(ours, slots)
        sides["plain loop over its jobs"] = by_loop = run_loop(loop, jobs, slots)
        sides["client"] = by_client = run_workflow(client, slots, *CLIENT)
        floor_ms, floor_cpu_ms = floor(folder, images, round(len(jobs) / images), slots)
        long_jobs = 12 if arguments.quick else arguments.long_jobs
        by_long, by_long_loop = long_stages(folder / "long", long_jobs, slots)
        sides[f"{long_jobs} long stages"], sides["loop over long stages"] = by_long, by_long_loop
        few = {warm: workspace(folder / f"warm-{warm}", cold_images, warm) for warm in (True, False)}
        cost = {warm: run_workflow(few[warm], slots) for warm in few}
        sides[f"warm, {cold_images} images"], sides[f"cold, {cold_images} images"] = cost[True], cost[False]
        loads = model_loads(ours)
        figures = {
            "images": images,
            "jobs": len(jobs),
            "slots": slots,
            "model_loads": loads["masks"],
            "feature_model_loads": loads["features"],
            "wall_over_plain_loop": by_executor.wall / by_loop.wall,
            "wall_over_plain_loop_client": by_client.wall / by_loop.wall,
            "wall_over_plain_loop_long_stages": by_long.wall / by_long_loop.wall,
            "floor_over_plain_loop": 1 + floor_ms * len(jobs) / 1000 / by_loop.wall,
            "cpu_over_plain_loop": by_executor.cpu / by_loop.cpu,
            "cpu_over_plain_loop_client": by_client.cpu / by_loop.cpu,
            "cpu_over_plain_loop_long_stages": by_long.cpu / by_long_loop.cpu,
            "ms_per_job": 1000 * (by_executor.wall - by_loop.wall) / len(jobs),
            "cpu_ms_per_job": 1000 * (by_executor.cpu - by_loop.cpu) / len(jobs),
            "floor_ms_per_job": floor_ms,
            "floor_cpu_ms_per_job": floor_cpu_ms,
            "cold_over_warm_cpu": cost[False].cpu / cost[True].cpu,
            "loop_files_equal": digests(loop) == digests(ours),
            "client_files_equal": digests(client) == digests(ours),
            "cold_files_equal": digests(few[False]) == digests(few[True]),
        }
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(*rows(figures, sides), sep="\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
