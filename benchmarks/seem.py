"""SEEM's strokes over one backbone pass against one pass per mask: seconds and memory.

Full size, random weights from a file, one thread, one image with 30 masks. As the SAM + SEEM pipeline (fremk) does it:
one backbone pass per mask, the masks of all queries at the image's size for the semantic map, the map and a copy of it
as NumPy's kept for the fallback, the text tower kept. Both sides use the network of this project, so the difference is
the arrangement alone, and both must pick the same query for every mask.

Each side has a process of its own. Seconds are CPU seconds of one thread, which other work on the machine hardly
changes. Memory is the largest resident size; beside it, what was resident when the libraries were imported and when the
weights were loaded, and what the work took above both. On a card seconds are wall time, after a first image, and memory
is the card's. Run: python benchmarks/seem.py [--quick] [--device cuda]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src")]

from regionflow.semantics import seem_checkpoint  # noqa: E402
from regionflow.semantics.seem import ImageMaps, SeemLabeler, points_of  # noqa: E402
from regionflow.semantics.seem_network import SeemSize  # noqa: E402
from regionflow.semantics.seem_options import SeemOptions  # noqa: E402

MASKS = 30
QUICK_SIZE = SeemSize(embed_dim=96, depths=(2, 2, 6, 2))
OURS, PUBLISHED = "ours", "as published"


def resident(what: str) -> float:
    """VmRSS or VmHWM of this process in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024**2


def picture(height: int, width: int) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """A picture of smooth noise, and 30 discs on it."""
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (height // 16, width // 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    discs = []
    for _ in range(MASKS):
        cy, cx, r = rng.integers(30, height - 30), rng.integers(30, width - 30), rng.integers(10, 60)
        discs.append((y - cy) ** 2 + (x - cx) ** 2 < r**2)
    return image, discs


def published_map(labeler: SeemLabeler, maps: ImageMaps) -> NDArray[np.float32]:
    """The semantic map as the pipeline makes it: of the masks of all queries at the size of the image."""
    queries = labeler.network.predict(maps.maps)
    classes = labeler.network.text.logits(queries.classes[0], labeler.rows).softmax(dim=1)[:, :-1]
    masks = torch.einsum("qc,chw->qhw", queries.masks[0], maps.maps.mask_features)
    masks = F.interpolate(masks[None], maps.padded, mode="bilinear", align_corners=False)[0].sigmoid()
    scores = torch.einsum("qc,qhw->chw", classes, masks[:, : maps.size[0], : maps.size[1]])
    return np.array(scores.permute(1, 2, 0).cpu())


@torch.inference_mode()
def measure(which: str, weights: Path, quick: bool, device: str = "cpu") -> dict[str, Any]:
    """Seconds, memory and picks of one side, in this process."""
    torch.set_num_threads(1)
    memory = {"imports": resident("VmRSS")}
    network = seem_checkpoint.load(weights)
    rows = torch.randn(134, network.size.dim, generator=torch.Generator().manual_seed(1))
    labeler = SeemLabeler(
        network,
        torch.nn.functional.normalize(rows, dim=1),
        [f"class {i}" for i in range(133)],
        SeemOptions(random_seed=0, short_side=None),
        device,
    )
    if which == OURS:
        network.text.forget_tower()
    memory["loaded"] = resident("VmRSS")
    image, masks = picture(256, 320) if quick else picture(512, 672)
    # What loading and decoding took at most is not what the work takes.
    Path("/proc/self/clear_refs").write_text("5")

    def prompts(maps: ImageMaps) -> list[list[torch.Tensor]]:
        rng = np.random.default_rng(0)
        return [[points_of(mask, maps.padded, rng)] * 4 for mask in masks]

    def work() -> list[int]:
        maps = labeler.maps(image)
        if which == OURS:
            assert labeler.normalised_scores(maps).size
            return list(labeler.strokes(maps, prompts(maps))[1])
        assert published_map(labeler, maps).size
        return [pick for prompt in prompts(maps) for pick in labeler.strokes(labeler.maps(image), [prompt])[1]]

    if device != "cpu":
        work()
        torch.cuda.reset_peak_memory_stats()
        memory["loaded"] = torch.cuda.memory_allocated() / 1024**3
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    picks = work()
    seconds = clock() - start
    if device != "cpu":
        memory |= {"imports": 0.0, "peak": torch.cuda.max_memory_allocated() / 1024**3}
        return {"seconds": seconds, "memory": memory, "picks": picks}
    return {"seconds": seconds, "memory": {**memory, "peak": resident("VmHWM")}, "picks": picks}


def seem(quick: bool, device: str = "cpu") -> dict[str, float | bool]:
    """Both sides, each in its own process; prints a line for each."""
    sides = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "seem.pt"
        state = seem_checkpoint.random_state(QUICK_SIZE if quick else SeemSize(), 0)
        torch.save(state, weights)
        size = weights.stat().st_size / 1024**3
        del state
        for which in (OURS, PUBLISHED):
            command = [sys.executable, __file__, "--side", which, str(weights), "--device", device]
            command += ["--quick"] if quick else []
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            sides[which] = json.loads(done.stdout.splitlines()[-1])
            m = sides[which]["memory"]
            print(
                f"SEEM {which:14}{sides[which]['seconds']:8.1f} s   peak {m['peak']:5.2f} GB: libraries "
                f"{m['imports']:5.2f}, weights {m['loaded'] - m['imports']:5.2f} (of {size:.2f} in the file), "
                f"above them {m['peak'] - m['loaded']:5.2f}",
                flush=True,
            )
    ours, published = sides[OURS], sides[PUBLISHED]
    above = [side["memory"]["peak"] - side["memory"]["loaded"] for side in (ours, published)]
    return {
        "seem_seconds": round(ours["seconds"], 3),
        "seem_peak_gb": round(ours["memory"]["peak"], 2),
        "seem_speedup": round(published["seconds"] / ours["seconds"], 2),
        "seem_memory_ratio": round(ours["memory"]["peak"] / published["memory"]["peak"], 2),
        "seem_memory_ratio_above_weights": round(above[0] / above[1], 2),
        "seem_same_picks": ours["picks"] == published["picks"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller network")
    parser.add_argument("--side", nargs=2, metavar=("WHICH", "WEIGHTS"), help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side[0], Path(given.side[1]), given.quick, given.device)))
        return
    print(json.dumps(seem(given.quick, given.device)))


if __name__ == "__main__":
    main()
