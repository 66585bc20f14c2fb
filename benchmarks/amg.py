"""Automatic mask generation: segment-anything and ours in turn, each in its own process, on the same photo and weights.

    python benchmarks/amg.py [--quick] [--weights small sam_tiny vit_b vit_h] [--image photo.jpg] [--threads 1]
                             [--device cuda] [--files 20]

sam_tiny are the embedded, trained weights at its preset. The others are random (tests/helpers/small_sam.py fits their
heads so that real masks come out) with the predicted IoU threshold set so that about 10 % of the candidates pass. The
last line is one JSON object; its figures per weights:

fp32_speedup, bf16_speedup            reference seconds over ours
fp32_cpu_speedup, bf16_cpu_speedup    the same by CPU time, which other load on the machine hardly touches
..._kept_memory                       the same four, both sides with a malloc that keeps memory: by default glibc gives
                                      large blocks back and zeroes new pages, half of segment-anything's time here;
                                      not on a card
fp32_identical                        share of masks equal, in the same order, but for pixels whose logit lies within
                                      1e-3 of the threshold
fp32_equal_rle                        share of masks whose RLEs are equal strings
bf16_mean_iou, bf16_missing           mean IoU of each reference mask with its best bf16 mask; those below 0.5
reference_bf16_speedup, _mean_iou     the same two of segment-anything with its encoder and decoder under autocast
peak_memory_ratio                     reference's peak memory over exact mode's: resident, or allocated on the GPU
reference_, fp32_, bf16_, reference_bf16_images_per_second, _peak_gb
                                      the first with --files: from JPEG to JSON file, ours as the workflow does it on a
                                      card (regionflow.base.pipeline)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from PIL import Image
from pycocotools import mask as coco

import common  # noqa: F401 - finds the library and the tests' helpers
from regionflow.evaluate.recall import best_ious

WEIGHTS = ("small", "sam_tiny", "vit_b", "vit_h")
SIDES = ("reference", "reference bf16", "exact", "bf16")
KEYS = {"reference": "reference", "reference bf16": "reference_bf16", "exact": "fp32", "bf16": "bf16"}
# glibc's malloc: no block is so large that it is mapped alone, and freed memory is not given back to the system.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 62), "MALLOC_TRIM_THRESHOLD_": str(1 << 62)}

Runner = Callable[[np.ndarray, dict], list[dict]]
"""From an image and options to annotations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 points per side on ViTs, 16 on the others")
    parser.add_argument("--weights", nargs="+", default=[*WEIGHTS[:3]], choices=WEIGHTS)
    parser.add_argument("--image", type=Path, help="a photo; default: a sample of scikit-image, enlarged to 1200x1800")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--files", type=int, default=0, help="copies of the photo to take from file to file; default 0")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.side:
        run_side(arguments.side, json.loads(arguments.job.read_text()))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: compare(name, Path(folder), arguments) for name in arguments.weights}
    print(json.dumps({"benchmark": "amg", "threads": arguments.threads, "quick": arguments.quick, **figures}))


def compare(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Run all sides with one set of weights, print the table, return the figures."""
    from helpers.small_sam import embedded_preset, save_random_vit, save_small_sam
    from regionflow.weights.published import EMBEDDED

    checkpoint = EMBEDDED if name == "sam_tiny" else folder / f"{name}.pth"
    if name == "small":
        save_small_sam(checkpoint, seed=3)
    elif name.startswith("vit_"):
        save_random_vit(checkpoint, name=name)
    image = folder / "photo.png"
    Image.fromarray(photo(arguments.image)).save(image)
    side = (8 if name.startswith("vit_") else 16) if arguments.quick else 32
    options = (
        {**embedded_preset(), "points_per_side": side} if name == "sam_tiny" else options_for(checkpoint, image, side)
    )
    job = {"checkpoint": str(checkpoint), "image": str(image), "options": options}
    job |= {"device": arguments.device, "files": arguments.files}
    results = {who: run_apart(who, job, folder / name, arguments.threads) for who in SIDES}
    print_table(name, job["options"], results)
    figures = speedups(results)
    if arguments.device == "cpu":
        kept = {who: run_apart(who, job, folder / name, arguments.threads, KEPT_MEMORY) for who in SIDES}
        print_table(f"{name}, memory kept", job["options"], kept)
        figures |= {f"{key}_kept_memory": value for key, value in speedups(kept).items()}
    reference, reference_bf16, exact, bf16 = (results[who] for who in SIDES)
    best = best_ious(bf16["rles"], reference["rles"])
    by_autocast = best_ious(reference_bf16["rles"], reference["rles"])
    for who, key in KEYS.items():
        figures[f"{key}_peak_gb"] = round(results[who]["peak_gb"], 2)
        if arguments.files:
            figures[f"{key}_images_per_second"] = round(results[who]["files_per_second"], 3)
    return {
        **figures,
        "fp32_identical": round(identical(checkpoint, image, reference, exact), 4),
        "fp32_equal_rle": round(equal_rles(reference["rles"], exact["rles"]), 4),
        "bf16_mean_iou": round(float(best.mean()), 4),
        "bf16_missing": int((best <= 0.5).sum()),
        "reference_bf16_mean_iou": round(float(by_autocast.mean()), 4),
        "masks": len(reference["rles"]),
        "bf16_masks": len(bf16["rles"]),
        "peak_memory_ratio": round(reference["peak_gb"] / exact["peak_gb"], 2),
    }


def run_apart(who: str, job: dict, path: Path, threads: int, environment: dict[str, str] | None = None) -> dict:
    """What a side measures in a process of its own."""
    out = path.with_name(f"{path.name}-{who}-out.json")
    given = path.with_name(f"{path.name}-{who}.json")
    given.write_text(json.dumps(job | {"out": str(out)}))
    command = [sys.executable, __file__, "--side", who, "--job", str(given), "--threads", str(threads)]
    subprocess.run(command, check=True, env=os.environ | (environment or {}))
    return json.loads(out.read_text())


def speedups(results: dict[str, dict]) -> dict[str, float]:
    """The reference's seconds over the others'."""
    reference, sides = results["reference"], {"reference_bf16": "reference bf16", "fp32": "exact", "bf16": "bf16"}
    out = {f"{key}_speedup": reference["seconds"] / results[who]["seconds"] for key, who in sides.items()}
    out |= {f"{key}_cpu_speedup": reference["cpu_seconds"] / results[who]["cpu_seconds"] for key, who in sides.items()}
    return {key: round(value, 2) for key, value in out.items()}


def photo(path: Path | None) -> np.ndarray:
    """RGB uint8 [H, W, 3]."""
    if path is not None:
        return np.asarray(Image.open(path).convert("RGB"))
    return cv2.resize(skimage.data.coffee(), (1800, 1200), interpolation=cv2.INTER_CUBIC)


def options_for(checkpoint: Path, image: Path, side: int) -> dict[str, float]:
    """Options under which about a tenth of the candidates pass the predicted IoU."""
    from regionflow.sam.build import build_sam
    from regionflow.sam.decoder import ImageDecoder
    from regionflow.sam.encoder import encode_image

    sam = build_sam("auto", checkpoint)
    with torch.inference_mode():
        encoded = encode_image(sam, np.asarray(Image.open(image)))
        extent = torch.tensor([encoded.input_size[1], encoded.input_size[0]]) / sam.image_encoder.img_size
        generator = torch.Generator().manual_seed(0)
        iou = ImageDecoder(sam, encoded).decode(torch.rand(64, 2, generator=generator) * extent).predicted_iou
    thresh = round(float(iou.quantile(0.9)), 4)
    return {"points_per_side": side, "pred_iou_thresh": thresh, "stability_score_thresh": 0.5, "box_nms_thresh": 0.9}


def run_side(who: str, job: dict) -> None:
    """Generate masks once, after a warm-up on a small picture, and write seconds, phases, peak memory and RLEs."""
    from regionflow.sam.build import build_sam

    sam = build_sam("auto", Path(job["checkpoint"])).to(job["device"])
    image = np.asarray(Image.open(job["image"]))
    run = runner(who, sam)
    files = {"files_per_second": files_per_second(who, sam, run, job)} if job["files"] else {}
    on_card = job["device"] != "cpu"
    if on_card:  # phases are waited for there, which costs time: they are of another run
        run(image, job["options"])
        seconds, cpu_seconds, _ = timed_run(run, image, job)
    phases = time_phases(sam, who)
    run(image[::8, ::8], job["options"] | {"points_per_side": 2})
    phases.clear()
    all_phases, cpu_of_phases, found = timed_run(run, image, job)
    if not on_card:
        seconds, cpu_seconds = all_phases, cpu_of_phases
    out = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "phases": phases | {"rest": all_phases - sum(phases.values())},
        "peak_gb": peak_gb(job["device"]),
        "rles": [a["segmentation"] for a in found],
        "points": [a["point_coords"] for a in found],
        **files,
    }
    Path(job["out"]).write_text(json.dumps(out))


def timed_run(run: Runner, image: np.ndarray, job: dict) -> tuple[float, float, list[dict]]:
    """Seconds, CPU seconds and annotations; these are on the host, so nothing is left to wait for."""
    start, cpu_start = time.perf_counter(), time.process_time()
    found = run(image, job["options"])
    return time.perf_counter() - start, time.process_time() - cpu_start, found


def runner(who: str, sam: torch.nn.Module) -> Runner:
    """What a side runs; it may change the model."""
    from segment_anything import SamAutomaticMaskGenerator

    from regionflow.sam.generator import generate
    from regionflow.sam.options import AmgOptions

    if who == "reference bf16":
        for part in (sam.image_encoder, sam.mask_decoder):
            part.forward = under_autocast(part.forward, sam.device.type)
    if who.startswith("reference"):
        return lambda x, options: SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **options).generate(x)
    return lambda x, options: generate(sam, x, AmgOptions(**options, precision=who))


def under_autocast(forward: Callable, device: str) -> Callable:
    """The function in bfloat16; what it returns is float32, because segment-anything's filters take nothing else."""

    def wrapper(*args: object, **kwargs: object) -> object:
        with torch.autocast(device, torch.bfloat16):
            out = forward(*args, **kwargs)
        return tuple(x.float() for x in out) if isinstance(out, tuple) else out.float()

    return wrapper


def files_per_second(who: str, sam: torch.nn.Module, run: Runner, job: dict) -> float:
    """Images per second from JPEG files to JSON files; ours as the workflow does it in a slot with a card."""
    from regionflow.base import pipeline
    from regionflow.sam.generator import begin
    from regionflow.sam.options import AmgOptions

    def write(path: Path, found: list[dict]) -> None:
        path.with_suffix(".json").write_text(json.dumps(found))

    def read(path: Path) -> tuple[Path, np.ndarray]:
        return path, np.asarray(Image.open(path))

    def begin_with(some: list[tuple[Path, np.ndarray]]) -> list:
        options = AmgOptions(**job["options"], precision=who)
        return list(zip(some, begin(sam, [image for _, image in some], options), strict=True))

    with tempfile.TemporaryDirectory() as name:
        photos = [Path(name, f"{i}.jpg") for i in range(job["files"])]
        image = Image.open(job["image"])
        for path in photos:
            image.save(path, quality=95)
        run(np.asarray(image)[::8, ::8], job["options"] | {"points_per_side": 2})
        start = time.perf_counter()
        if who.startswith("reference"):
            for path in photos:
                write(path, run(read(path)[1], job["options"]))
        else:
            steps = pipeline.Steps(read, lambda x: x[1].nbytes, begin_with, lambda x, later: write(x[0], later()))
            pipeline.run(steps, photos, 16)
        return len(photos) / (time.perf_counter() - start)


def peak_gb(device: str) -> float:
    """Peak memory on the GPU, or this process's peak resident (getrusage would count the parent's before exec)."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def time_phases(sam: torch.nn.Module, who: str) -> dict[str, float]:
    """Seconds spent in the main parts, filled in while they run."""
    from regionflow.sam import decoder, encoder, masks

    phases: dict[str, float] = defaultdict(float)
    if who.startswith("reference"):
        parts = [(sam.image_encoder, "forward", "encoder"), (sam.mask_decoder, "forward", "decoder")]
        parts.append((sam, "postprocess_masks", "full size"))
    else:
        parts = [(encoder, "encode_images", "encoder"), (decoder.ImageDecoder, "decode", "decoder")]
        parts += [(decoder.Prompts, "mask_logits", "upscaling"), (masks.FullSize, "masks", "full size")]
    for owner, attribute, phase in parts:
        setattr(owner, attribute, timed(getattr(owner, attribute), phases, phase, sam.device.type))
    return phases


def timed(function: Callable, phases: dict[str, float], phase: str, device: str) -> Callable:
    """The function, adding its seconds to a phase."""

    def wrapper(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            if device != "cpu":
                torch.cuda.synchronize()
            phases[phase] += time.perf_counter() - start

    return wrapper


def matmul_rate(dtype: torch.dtype) -> float:
    """GFLOP/s of a product that fits the caches, the best of a few: a ceiling for what the CPU can do."""
    a, b = torch.randn(1024, 1024).to(dtype), torch.randn(1024, 1024).to(dtype)
    best = min(_seconds(lambda: a @ b) for _ in range(20))
    return 2 * 1024**3 / best / 1e9


def _seconds(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def print_table(name: str, options: dict, results: dict[str, dict]) -> None:
    """Seconds per phase, and for vit_b the floor of the arithmetic at this machine's matrix product rate."""
    print(f"\n{name}: {options}, {len(results['reference']['rles'])} masks")
    names = ["encoder", "decoder", "upscaling", "full size", "rest"]
    floors: dict[str, dict[str, float]] = {}
    if name == "vit_b":
        # GFLOP: 4096 tokens through 12 blocks with padded windows and 4 global attentions; 0.9 per prompt (decoder.py).
        work = {"encoder": 950.0, "decoder": 0.9 * options["points_per_side"] ** 2}
        for who, dtype in (("exact", torch.float32), ("bf16", torch.bfloat16)):
            rate = matmul_rate(dtype)
            floors[who] = {phase: gflop / rate for phase, gflop in work.items()}
    print(f"{'':16}" + "".join(f"{n:>12}" for n in [*names, "seconds", "CPU s", "peak GB"]))
    for who, result in results.items():
        cells = [result["phases"].get(n, 0.0) for n in names] + [
            result[key] for key in ("seconds", "cpu_seconds", "peak_gb")
        ]
        print(f"{who:16}" + "".join(f"{c:12.2f}" for c in cells))
        if who in floors:
            print(
                f"{'  floor':16}"
                + "".join(f"{floors[who][n]:12.2f}" if n in floors[who] else f"{'':12}" for n in names)
            )


def equal_rles(expected: list[dict], found: list[dict]) -> float:
    """Share of masks with equal RLE strings at the same place in the list."""
    if len(expected) != len(found):
        return 0.0
    return float(np.mean([a == b for a, b in zip(expected, found, strict=True)])) if expected else 1.0


def identical(checkpoint: Path, image: Path, reference: dict, exact: dict) -> float:
    """Share of masks equal but for pixels whose logit in segment-anything's own output is within 1e-3 of 0."""
    from segment_anything import SamPredictor

    from regionflow.sam.build import build_sam

    if reference["points"] != exact["points"]:
        return 0.0
    pairs = list(zip(reference["points"], reference["rles"], exact["rles"], strict=True))
    different = [pair for pair in pairs if pair[1] != pair[2]]
    if not different:
        return 1.0
    predictor = SamPredictor(build_sam("auto", checkpoint))
    predictor.set_image(np.asarray(Image.open(image)))
    wrong = 0
    for point, theirs, ours in different:
        logits, _, _ = predictor.predict(np.array(point), np.ones(1), multimask_output=True, return_logits=True)
        first, second = coco.decode(theirs).astype(bool), coco.decode(ours).astype(bool)
        best = min(logits, key=lambda m: np.count_nonzero((m > 0) != first))
        wrong += bool(np.abs(best[first != second]).max() >= 1e-3)
    return 1 - wrong / len(pairs)


if __name__ == "__main__":
    main()
