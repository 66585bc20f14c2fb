"""All that is measured on a card, written as a table into docs/performance.md: `make bench-gpu`.

    python benchmarks/gpu.py [--device cuda] [--quick] [--into docs/performance.md] [--weights sam_tiny vit_b vit_h]

Runs the benchmarks named in BENCHMARKS one after the other, each in its own process, both sides of every comparison on
the same card; the table goes between the two markers of the file, with date, card and torch. Without a card nothing is
run or written. `--device cpu` shows that it works, not how fast anything is.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import ROOT

BEGIN, END = "<!-- bench-gpu: begin -->", "<!-- bench-gpu: end -->"
Figures = dict[str, Any]
Row = tuple[str, str, str]
"""What was measured, of what by what, and the figures."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="small settings everywhere")
    parser.add_argument("--into", type=Path, default=ROOT / "docs/performance.md", help="the file with the markers")
    parser.add_argument("--weights", nargs="+", default=["sam_tiny", "vit_b", "vit_h"], help="of benchmarks/amg.py")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=[*BENCHMARKS])
    given = parser.parse_args()
    text = given.into.read_text(encoding="utf-8")
    if not 0 <= text.find(BEGIN) < text.find(END):
        sys.exit(f"{given.into} has no lines {BEGIN} and {END}, between which the table goes.")
    machine = describe(given.device)
    rows = [row for name in given.only for row in BENCHMARKS[name](lambda *command: measure(given, command), given)]
    given.into.write_text(replaced(text, table(machine, rows, given.quick)), encoding="utf-8")
    print(f"{given.into}: {len(rows)} rows")


def describe(device: str) -> str:
    """Date, card and torch. Ends the program where there is no card."""
    import torch

    today = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    if device == "cpu":
        return f"{today}, {platform.machine()} CPU (no card), torch {torch.__version__}"
    if not torch.cuda.is_available():
        sys.exit("There is no card that torch can use, so nothing is measured and nothing is written.")
    memory = torch.cuda.get_device_properties(0).total_memory / 1024**3
    return f"{today}, {torch.cuda.get_device_name(0)} with {memory:.0f} GB, torch {torch.__version__}"


def measure(given: argparse.Namespace, command: Sequence[str]) -> Figures:
    """The figures of one benchmark: the last line that it prints."""
    script, *arguments = command
    quick = ["--quick"] if given.quick else []
    print(f"{script} {' '.join([*arguments, *quick])}", flush=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--device", given.device, *arguments, *quick],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(done.stdout, flush=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def masks(run: Callable[..., Figures], given: argparse.Namespace) -> list[Row]:
    """Ours exact and bf16, segment-anything in float32 and under autocast."""
    files = "2" if given.quick else "20"
    measured = run("amg.py", "--files", files, "--weights", *given.weights)
    rows = []
    for name in given.weights:
        figures = measured[name]
        command = f"`benchmarks/amg.py --device {given.device} --files {files} --weights {name}`"
        rates = [
            f"{figures[f'{key}_images_per_second']:.2f} images/s, {figures[f'{key}_peak_gb']:.1f} GB"
            for key in ("reference", "reference_bf16", "fp32", "bf16")
        ]
        text = (
            f"segment-anything {rates[0]}; under autocast {rates[1]}; exact {rates[2]}; bf16 {rates[3]}, all from JPEG "
            f"to JSON file. One image: exact {figures['fp32_speedup']} times and bf16 {figures['bf16_speedup']} times "
            f"as fast as segment-anything, its autocast {figures['reference_bf16_speedup']} times. "
            f"{figures['masks']} masks, exact {figures['fp32_identical']:.0%} identical, "
            f"bf16 mean best IoU {figures['bf16_mean_iou']}"
        )
        rows.append((f"masks, {name}", command, text))
    return rows


def features(run: Callable[..., Figures], given: argparse.Namespace) -> list[Row]:
    """Against a plain loop over timm."""
    figures = run("features.py")
    rates = figures["ours_images_per_second"], figures["plain_images_per_second"]
    text = (
        f"{figures['ratio_to_timm_loop']:.2f} of a plain timm loop's time photo by photo; several at once "
        f"{rates[0]:.1f} images/s from file to file, the loop {rates[1]:.1f}"
    )
    return [("features", f"`benchmarks/features.py --device {given.device}`", text)]


def semantics(run: Callable[..., Figures], given: argparse.Namespace) -> list[Row]:
    """SEEM, which has both a dense map and a stroke per mask."""
    figures = run("seem.py")
    text = (
        f"SEEM with 30 strokes: {figures['seem_seconds']} s an image, {figures['seem_speedup']} times as fast as with "
        f"one backbone pass per mask, {figures['seem_peak_gb']} GB; the same picks: {figures['seem_same_picks']}"
    )
    return [("class names", f"`benchmarks/seem.py --device {given.device}`", text)]


def whole_job(run: Callable[..., Figures], given: argparse.Namespace) -> list[Row]:
    """From photos to clusters by the workflow."""
    figures = run("pipeline.py")
    text = (
        f"{figures['photos']} photos of 512 px, one core, Snakemake included: {figures['wall_ratio']} times as fast as "
        f"the libraries one script after the other, {figures['images_per_second']:.2f} images/s"
    )
    return [("whole job", f"`benchmarks/pipeline.py --device {given.device}`", text)]


BENCHMARKS: dict[str, Callable[[Callable[..., Figures], argparse.Namespace], list[Row]]] = {
    "masks": masks,
    "features": features,
    "semantics": semantics,
    "whole_job": whole_job,
}


def table(machine: str, rows: Sequence[Row], quick: bool) -> str:
    """The rows as Markdown, under what they were measured on."""
    small = " Small settings (`--quick`): they show that it works, not how fast it is." if quick else ""
    lines = [f"{machine}; by `make bench-gpu`.{small}", "", "| what | command | result |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {command} | {result} |" for what, command, result in rows)])


def replaced(text: str, new: str) -> str:
    """The text with what stands between the markers replaced."""
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


if __name__ == "__main__":
    main()
