"""Average pooling of region features: ours against upsampling the whole map and averaging the pixels of each mask.

    python benchmarks/pooling.py [--quick]

The reference does what the region-representations paper's code does, in torch on the CPU: bilinear upsampling to the
padded size, crop (with the right offset, so that results compare), then per region the mean over the mask's pixels.
Both sides start from the same float16 feature file content and compressed RLEs, on one thread, each in a process of its
own whose extra memory is its peak resident set over what it was before (Linux).

The 2000 x 3000 case needs 24.6 GB for the upsampled features. The reference does 256 of the 1024 channels there, 128 at
a time (--quick: 32), and its time is multiplied; its memory is not, which flatters it.
"""

import argparse
import ctypes
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco
from skimage import data, segmentation, transform

from regionflow.formats import rle
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.pooled.pool import pool

CHANNELS = 1024


@dataclass(frozen=True)
class Case:
    """One image size with its number of regions, and how many channels the reference holds and does."""

    name: str
    height: int
    width: int
    regions: int
    piece: int
    measured: int


def cases(quick: bool) -> list[Case]:
    """The paper's typical image, and a 6-megapixel photo."""
    return [
        Case("594x900, 80 regions", 594, 900, 80, CHANNELS, CHANNELS),
        Case("2000x3000, 300 regions", 2000, 3000, 300, 32 if quick else 128, 32 if quick else 256),
    ]


def inputs(case: Case) -> tuple[FeatureMap, list[rle.Rle]]:
    """Random features, and regions like a merged SAM and SLIC file's: half ellipses of all sizes, half superpixels."""
    rng = np.random.default_rng(0)
    geometry = Geometry.pad_to_multiple(case.height, case.width, 14)
    features = rng.normal(size=(CHANNELS, *geometry.grid)).astype(np.float16)
    y, x = np.ogrid[: case.height, : case.width]
    regions = []
    short = min(case.height, case.width)
    for _ in range(case.regions // 2):
        radius = np.exp(rng.uniform(np.log(short / 60), np.log(short / 4)))
        stretch = rng.uniform(0.5, 2)
        distance = (y - rng.uniform(0, case.height)) ** 2 + (stretch * (x - rng.uniform(0, case.width))) ** 2
        regions.append(rle.encode(distance < radius**2))
    photo = transform.resize(data.coffee(), (case.height // 4, case.width // 4))
    small = segmentation.slic(photo, n_segments=case.regions - len(regions) + 20, start_label=0)
    labels = np.pad(
        np.kron(small, np.ones((4, 4), dtype=small.dtype)), ((0, case.height % 4), (0, case.width % 4)), "edge"
    )
    regions += list(rle.from_label_map(labels).values())[: case.regions - len(regions)]
    return FeatureMap(features, geometry), regions


def ours(case: Case, feature_map: FeatureMap, regions: list[rle.Rle]) -> tuple[float, np.ndarray]:
    """Seconds and features [R, C]."""
    start = time.perf_counter()
    pooled = pool(feature_map, regions).features
    return time.perf_counter() - start, pooled


def reference(case: Case, feature_map: FeatureMap, regions: list[rle.Rle]) -> tuple[float, np.ndarray]:
    """Seconds for all channels and features [R, measured]."""
    geometry = feature_map.geometry
    assert geometry is not None
    (top, left), (height, width) = geometry.offset, geometry.image
    pieces = []
    start = time.perf_counter()
    for first in range(0, case.measured, case.piece):
        grid = torch.from_numpy(feature_map.features[first : first + case.piece]).float()
        full = F.interpolate(grid[None], size=geometry.padded, mode="bilinear", align_corners=False)
        image = full[0, :, top : top + height, left : left + width]
        pieces.append(
            torch.stack([image[:, torch.from_numpy(coco.decode(region) == 1)].mean(dim=1) for region in regions])
        )
    seconds = time.perf_counter() - start
    return seconds * CHANNELS / case.measured, torch.cat(pieces, dim=1).numpy()


def measure(side: str, case: Case, repeats: int) -> tuple[float, float, np.ndarray]:
    """Best seconds, extra memory in MB of the first run, and the features; runs in its own process."""
    torch.set_num_threads(1)
    run = {"ours": ours, "reference": reference}[side]
    given = inputs(case)
    ctypes.CDLL(None).malloc_trim(0)  # else freed memory of the preparation is used again unseen
    Path("/proc/self/clear_refs").write_text("5")  # peak memory starts again from here
    before = memory("VmRSS")
    seconds, features = run(case, *given)
    extra = memory("VmHWM") - before
    return min([seconds, *(run(case, *given)[0] for _ in range(repeats - 1))]), extra, features


def memory(key: str) -> float:
    """A line of /proc/self/status in MB."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(key))
    return int(line.split()[1]) / 1024


def compare(case: Case, quick: bool) -> dict[str, float | str]:
    """Figures of one case; the sides take turns in fresh processes."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        theirs = processes.apply(measure, ("reference", case, 1))
        mine = processes.apply(measure, ("ours", case, 3))
    return {
        "case": case.name,
        "ours_seconds": mine[0],
        "reference_seconds": theirs[0],
        "speedup": theirs[0] / mine[0],
        "ours_extra_mb": mine[1],
        "reference_extra_mb": theirs[1],
        "memory_ratio": mine[1] / theirs[1],
        "max_abs_diff": float(np.abs(mine[2][:, : case.measured] - theirs[2]).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer of the large case's channels for the reference")
    quick = parser.parse_args().quick
    rows = [compare(case, quick) for case in cases(quick)]
    print(f"{'case':24} {'ours s':>8} {'ref. s':>8} {'speedup':>8} {'ours MB':>8} {'ref. MB':>8} {'max diff':>9}")
    for row in rows:
        numbers = [
            row[k] for k in ("ours_seconds", "reference_seconds", "speedup", "ours_extra_mb", "reference_extra_mb")
        ]
        print(f"{row['case']:24} {{:8.3f}} {{:8.1f}} {{:8.0f}} {{:8.0f}} {{:8.0f}}".format(*numbers), end="")
        print(f" {row['max_abs_diff']:9.1e}")
    worst = {
        "speedup": min(row["speedup"] for row in rows),
        "memory_ratio": max(row["memory_ratio"] for row in rows),
        "max_abs_diff": max(row["max_abs_diff"] for row in rows),
    }
    print(json.dumps({"benchmark": "pooling", "quick": quick, **worst, "cases": rows}))


if __name__ == "__main__":
    main()
