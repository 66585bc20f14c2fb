"""Feature extraction of 50 photos: ours against a plain loop over timm, one image at a time, in one process.

    python benchmarks/features.py [--quick] [--device cuda]

Both sides decode a JPEG, pad it to the patch, normalise, run the same DINOv2 ViT-S/14 (random weights) and write a
float16 file; ours also records geometry and provenance and checks what it wrote. They take turns photo by photo, so a
busy machine hits both alike. The parts of our time are named: decode, prepare (padding, to the device, normalisation),
forward, copy_back, write (with the check); the middle three are timed once more by themselves, each waited for.

Then all photos once more as the workflow does them in a slot with a card: read ahead, in batches where inputs are of
one size, written beside the card's work. For that the photos are cut to one size. The last line is a JSON object:

ratio_to_timm_loop                    our seconds over the loop's, photo by photo
plain_, ours_images_per_second        from file to file over photos of one size; ours several at once
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from torchvision.transforms.functional import normalize, to_tensor

from regionflow.base import pipeline
from regionflow.features.options import TimmOptions
from regionflow.features.pixels import frame, normalise
from regionflow.features.timm_model import TimmExtractor
from regionflow.formats.features import read_features, write_features
from regionflow.formats.geometry import Geometry
from regionflow.images.read import read_image

MODEL = "vit_small_patch14_dinov2"
PARTS = ("decode", "prepare", "forward", "copy_back", "write")
SOURCES = (data.astronaut, data.chelsea, data.coffee, data.rocket, data.hubble_deep_field, data.retina, data.cat)


def photos(folder: Path, count: int) -> list[Path]:
    """JPEGs of different sizes, cut from the sample photos that come with scikit-image."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(count):
        source = SOURCES[index % len(SOURCES)]()[..., :3]
        height, width = (int(rng.integers(min(n, 280), min(n, 560) + 1)) for n in source.shape[:2])
        top, left = (int(rng.integers(0, n - size + 1)) for n, size in zip(source.shape, (height, width), strict=False))
        paths.append(folder / f"photo{index}.jpg")
        Image.fromarray(source[top : top + height, left : left + width]).save(paths[-1], quality=92)
    return paths


def plain(path: Path, model: Any, device: str, out: Path) -> None:
    """What one would write by hand."""
    image = to_tensor(Image.open(path).convert("RGB"))
    patch, (height, width) = model.patch_embed.patch_size[0], image.shape[1:]
    down, across = -height % patch, -width % patch
    image = F.pad(image, (across // 2, across - across // 2, down // 2, down - down // 2))
    batch = normalize(image, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))[None].to(device)
    with torch.inference_mode():
        features = model.forward_intermediates(batch, indices=[-1], norm=True, intermediates_only=True)[0]
    np.save(out, features[0].half().cpu().numpy())


def ours(path: Path, extractor: TimmExtractor, out: Path) -> dict[str, float]:
    """Our way, with the seconds of decoding and writing."""
    start = time.perf_counter()
    image = read_image(path)
    decoded = time.perf_counter()
    feature_map = extractor.extract(image)
    extracted = time.perf_counter()
    write_features(out, feature_map)
    return {"decode": decoded - start, "write": time.perf_counter() - extracted}


def one_size(paths: list[Path], folder: Path) -> list[Path]:
    """The photos, 280 x 280 pixels of each."""
    cut = [folder / f"cut{index}.jpg" for index in range(len(paths))]
    for path, to in zip(paths, cut, strict=True):
        Image.open(path).crop((0, 0, 280, 280)).save(to, quality=92)
    return cut


def images_per_second(paths: list[Path], model: Any, extractor: TimmExtractor, device: str) -> dict[str, float]:
    """Of the plain loop and of ours, from file to file."""

    def begin(some: Any) -> list:
        return list(zip(some, extractor.begin([image for _, image in some]), strict=True))

    steps: pipeline.Steps = pipeline.Steps(
        lambda path: (path, read_image(path)),
        lambda read: read[1].nbytes,
        begin,
        lambda read, later: write_features(read[0].with_suffix(".h5"), later()),
    )
    extractor.begin([read_image(path) for path in paths[:16]])  # what a batch takes first, as kernels are chosen
    start = time.perf_counter()
    for path in paths:
        plain(path, model, device, path.with_suffix(".npy"))
    middle = time.perf_counter()
    pipeline.run(steps, paths, 16)
    end = time.perf_counter()
    for path in paths:
        theirs = np.load(path.with_suffix(".npy"))
        np.testing.assert_allclose(read_features(path.with_suffix(".h5")).features, theirs, atol=1e-2)
    return {
        "plain_images_per_second": len(paths) / (middle - start),
        "ours_images_per_second": len(paths) / (end - middle),
    }


def parts(path: Path, model: Any, device: str) -> dict[str, float]:
    """Seconds of what happens between decoding and writing, each step waited for."""
    image, patch = read_image(path), model.patch_embed.patch_size[0]
    geometry = Geometry.pad_to_multiple(image.shape[0], image.shape[1], patch)
    config = model.pretrained_cfg
    start = time.perf_counter()
    batch = normalise(frame(image, geometry, "bicubic"), config["mean"], config["std"], device)
    synchronise(device)
    prepared = time.perf_counter()
    with torch.inference_mode():
        features = model.forward_intermediates(batch, indices=[-1], norm=True, intermediates_only=True)[0]
    synchronise(device)
    forward = time.perf_counter()
    features[0].float().cpu().numpy()
    return {"prepare": prepared - start, "forward": forward - prepared, "copy_back": time.perf_counter() - forward}


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="12 photos")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    extractor = TimmExtractor(TimmOptions(model=MODEL, random_seed=0), given.device)
    torch.manual_seed(0)
    model = timm.create_model(MODEL, dynamic_img_size=True).to(given.device).eval()
    totals = dict.fromkeys(("plain", "ours", *PARTS), 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = photos(folder, 12 if given.quick else 50)
        plain(paths[0], model, given.device, folder / "warm.npy")
        ours(paths[0], extractor, folder / "warm.h5")
        for index, path in enumerate(paths):
            by_hand, by_us = path.with_suffix(".npy"), path.with_suffix(".h5")
            turns = ["plain", "ours"] if index % 2 else ["ours", "plain"]
            for side in turns:
                start = time.perf_counter()
                if side == "plain":
                    plain(path, model, given.device, by_hand)
                else:
                    seconds = ours(path, extractor, by_us)
                totals[side] += time.perf_counter() - start
            for part, spent in {**seconds, **parts(path, model, given.device)}.items():
                totals[part] += spent
            np.testing.assert_allclose(read_features(by_us).features, np.load(by_hand), atol=4e-3)
        rates = images_per_second(one_size(paths, folder), model, extractor, given.device)
    figures = {
        "ratio_to_timm_loop": totals["ours"] / totals["plain"],
        **rates,
        **{f"{key}_ms_per_photo": seconds / len(paths) * 1e3 for key, seconds in totals.items()},
    }
    print(f"{MODEL} on {given.device}, {given.threads} thread(s), {len(paths)} photos, random weights")
    for key, value in figures.items():
        print(f"{key:28} {value:9.3f}")
    print(json.dumps({"benchmark": "features", "quick": given.quick, "device": given.device, **figures}))


if __name__ == "__main__":
    main()
