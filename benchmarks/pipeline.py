"""The whole job against the same work done by the libraries, one script after the other.

    python benchmarks/pipeline.py [--quick] [--photos 20] [--device cuda]

Both sides take the same photos of 512 px, the same weights (the embedded sam_tiny at 16 points a side, a small random
ViT with 192 channels) and the same options, on one thread, and make features, masks, SLIC superpixels, merged regions,
pooled features, and clusters with a label map per image:

- reference: six scripts, each a process of its own that loads what it needs: timm, segment-anything's
  SamAutomaticMaskGenerator, skimage's slic, pycocotools and numpy for the merge, torch's bilinear upsampling and a mean
  per mask, scikit-learn's MiniBatchKMeans. What is read again between scripts are .npy and .json files;
- ours: `snakemake --cores 1`, Snakemake's own start and planning included.

With a card both sides use it for features and masks. CPU seconds are of all processes. The last line is a JSON object:

cpu_ratio, cpu_ratio_kept_memory   reference over ours; the second with a malloc that keeps memory on both sides
wall_ratio, images_per_second      of the run that keeps memory
noop_seconds                       wall seconds of our second run, which finds nothing to do
change_ratio                       reference over ours after another number of superpixels: the reference runs the four
                                   scripts again that depend on it
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from amg import KEPT_MEMORY
from common import ROOT
from orchestration import Clock, Cost

SCRIPTS = ("features", "masks", "superpixels", "regions", "pooled", "clusters")
AFTER_SUPERPIXELS = SCRIPTS[2:]
CHANGED_SEGMENTS = 80
MODEL = {"model": "vit_tiny_patch16_224", "random_seed": 0}
K = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 photos")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--script", choices=SCRIPTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.script:
        run_script(arguments.script, arguments.folder)
        return
    photos = 3 if arguments.quick else arguments.photos
    with tempfile.TemporaryDirectory() as name:
        figures = {"cpu_ratio": 0.0}
        for key, environment in (("", {}), ("_kept_memory", KEPT_MEMORY)):
            folder = prepare(Path(name, f"run{key}"), photos, arguments.device)
            theirs, ours = reference(folder, SCRIPTS, environment), workflow(folder, 50, environment)
            figures[f"cpu_ratio{key}"] = round(theirs.cpu / ours.cpu, 2)
            print(f"{key or 'default malloc':16} reference {theirs.cpu:7.1f} CPU s, ours {ours.cpu:7.1f} CPU s")
            figures |= {"wall_ratio": round(theirs.wall / ours.wall, 2), "images_per_second": photos / ours.wall}
            compare(folder)
        again = workflow(folder, 50, KEPT_MEMORY)
        figures["noop_seconds"] = round(again.wall, 1)
        settings = json.loads((folder / "settings.json").read_text())
        (folder / "settings.json").write_text(json.dumps(settings | {"n_segments": CHANGED_SEGMENTS}))
        theirs, ours = (
            reference(folder, AFTER_SUPERPIXELS, KEPT_MEMORY),
            workflow(folder, CHANGED_SEGMENTS, KEPT_MEMORY),
        )
        figures["change_ratio"] = round(theirs.cpu / ours.cpu, 2)
        print(f"{'other superpixels':16} reference {theirs.cpu:7.1f} CPU s, ours {ours.cpu:7.1f} CPU s")
    print(json.dumps({"benchmark": "pipeline", "photos": photos, **figures}))


def prepare(folder: Path, photos: int, device: str) -> Path:
    """A folder with photos, what both sides must agree on, and our configuration."""
    from PIL import Image

    from helpers.scenes import save_photos
    from helpers.small_sam import embedded_preset

    folder.mkdir()
    save_photos(folder / "photos", [f"{number:05d}.png" for number in range(photos)])
    for path in sorted((folder / "photos").iterdir()):
        image = Image.open(path).convert("RGB")
        image.resize((512, 384), Image.Resampling.BICUBIC).save(path)
    amg = {**embedded_preset(), "points_per_side": 16}
    (folder / "settings.json").write_text(json.dumps({"amg": amg, "n_segments": 50, "device": device}))
    return folder


def environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """One thread, and no card but where one is asked for."""
    device = json.loads((folder / "settings.json").read_text())["device"]
    cards = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **cards, **more}


def reference(folder: Path, scripts: tuple[str, ...], more: dict[str, str]) -> Cost:
    """What the scripts cost."""
    with Clock() as clock:
        for script in scripts:
            command = [sys.executable, __file__, "--script", script, "--folder", str(folder)]
            subprocess.run(command, check=True, env=environment(folder, more))
    return clock.cost


def workflow(folder: Path, n_segments: int, more: dict[str, str]) -> Cost:
    """What our run costs."""
    amg = json.loads((folder / "settings.json").read_text())["amg"]
    config = {
        "images": {"dir": "photos"},
        "segmenters": {"tiny": {"type": "sam", "model": "sam_tiny", **amg}},
        "superpixels": {"slic": {"n_segments": n_segments}},
        "extractors": {"vit": {"type": "timm", **MODEL}},
        "regions": {"default": {"segmenter": "tiny"}},
        "targets": {"extractors": ["vit"], "regions": ["default"]},
        "clusters": {"k": K},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile", str(ROOT / "profiles/default"), "--configfile", str(folder / "config.yaml")]
    with Clock() as clock:
        done = subprocess.run(
            [*command, "--cores", "1"], env=environment(folder, more), capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return clock.cost


def compare(folder: Path) -> None:
    """How many regions both sides have in common, and how far pooled features of the common ones differ."""
    from regionflow import load
    from regionflow.formats.regions import read_regions

    ours = load(folder / "results")
    count = equal = start = 0
    worst = 0.0
    for name, _ in photos_of(folder):
        theirs = json.loads((folder / "reference/regions" / f"{name}.json").read_text())
        mine = read_regions(folder / "results/regions/default" / f"{name}.json").annotations
        pooled = np.load(folder / "reference/pooled" / f"{name}.npy")
        place = {a["segmentation"]["counts"]: i for i, a in enumerate(theirs)}
        for i, annotation in enumerate(mine):
            j = place.get(annotation["segmentation"]["counts"])
            if j is not None:
                equal += 1
                worst = max(worst, float(np.abs(ours.features[start + i] - pooled[j]).max()))
        count, start = count + len(theirs), start + len(mine)
    print(f"{'':16} {count} regions of the reference, {equal} equal ours; their features differ by at most {worst:.1e}")


def run_script(script: str, folder: Path) -> None:
    """One of the reference's scripts over all photos."""
    import torch

    torch.set_num_threads(1)
    out = folder / "reference" / script
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    settings = json.loads((folder / "settings.json").read_text())
    SCRIPT[script](folder, out, settings)


def photos_of(folder: Path) -> list[tuple[str, np.ndarray]]:
    """Names and pixels."""
    from PIL import Image

    return [(path.stem, np.asarray(Image.open(path))) for path in sorted((folder / "photos").iterdir())]


def features_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """The last layer's patch tokens, the image padded to whole patches, one image at a time."""
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(MODEL["model"], dynamic_img_size=True).eval().to(settings["device"])
    config = model.pretrained_cfg
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    for name, image in photos_of(folder):
        pixels = ((torch.tensor(image).permute(2, 0, 1).float() / 255 - mean) / std)[None].to(settings["device"])
        with torch.inference_mode():
            (maps,) = model.forward_intermediates(pixels, indices=[-1], norm=True, intermediates_only=True)
        np.save(out / f"{name}.npy", maps[0].cpu().numpy())


def masks_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Segment-anything's own generator."""
    from segment_anything import SamAutomaticMaskGenerator

    from regionflow.sam.build import build_sam
    from regionflow.weights.published import EMBEDDED

    sam = build_sam("sam_tiny", EMBEDDED, settings["device"])
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **settings["amg"])
    for name, image in photos_of(folder):
        (out / f"{name}.json").write_text(json.dumps(generator.generate(image)))


def superpixels_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Skimage's SLIC."""
    from skimage.segmentation import slic

    for name, image in photos_of(folder):
        labels = slic(image, n_segments=settings["n_segments"], compactness=8.0, min_size_factor=0.25, start_label=0)
        np.save(out / f"{name}.npy", labels.astype(np.int16))


def regions_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Masks, then what at least 300 pixels of a superpixel lie outside of all of them."""
    from pycocotools import mask as coco

    for name, image in photos_of(folder):
        annotations = json.loads((folder / "reference/masks" / f"{name}.json").read_text())
        labels = np.load(folder / "reference/superpixels" / f"{name}.npy")
        masks = [coco.decode(a["segmentation"]).astype(bool) for a in annotations]
        uncovered = ~np.any(masks, axis=0) if masks else np.ones(image.shape[:2], bool)
        for label in np.unique(labels[uncovered]):
            rest = uncovered & (labels == label)
            if rest.sum() >= 300:
                encoded = coco.encode(np.asfortranarray(rest.astype(np.uint8)))
                encoded["counts"] = encoded["counts"].decode()
                annotations.append({"segmentation": encoded, "area": int(rest.sum())})
        (out / f"{name}.json").write_text(json.dumps(annotations))


def pooled_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Features at the size of the photo, and their mean over each region."""
    import torch
    import torch.nn.functional as F
    from pycocotools import mask as coco

    for name, image in photos_of(folder):
        regions = json.loads((folder / "reference/regions" / f"{name}.json").read_text())
        features = torch.from_numpy(np.load(folder / "reference/features" / f"{name}.npy"))
        full = F.interpolate(features[None], size=image.shape[:2], mode="bilinear", align_corners=False)[0]
        rows = [full[:, torch.from_numpy(coco.decode(a["segmentation"]) == 1)].mean(dim=1) for a in regions]
        np.save(out / f"{name}.npy", torch.stack(rows).numpy())


def clusters_script(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    """Mini-batch k-means over all regions, and a map of clusters for each photo: small regions over large ones."""
    from PIL import Image
    from pycocotools import mask as coco
    from sklearn.cluster import MiniBatchKMeans

    pooled = {name: np.load(folder / "reference/pooled" / f"{name}.npy") for name, _ in photos_of(folder)}
    model = MiniBatchKMeans(K, random_state=0, n_init=1).fit(np.concatenate(list(pooled.values())))
    for name, image in photos_of(folder):
        regions = json.loads((folder / "reference/regions" / f"{name}.json").read_text())
        clusters = model.predict(pooled[name])
        painted = np.zeros(image.shape[:2], np.uint8)
        for i in sorted(range(len(regions)), key=lambda i: -regions[i]["area"]):
            painted[coco.decode(regions[i]["segmentation"]) == 1] = 1 + clusters[i]
        Image.fromarray(painted).save(out / f"{name}.png")
        (out / f"{name}.json").write_text(json.dumps(clusters.tolist()))


SCRIPT = {
    "features": features_script,
    "masks": masks_script,
    "superpixels": superpixels_script,
    "regions": regions_script,
    "pooled": pooled_script,
    "clusters": clusters_script,
}


if __name__ == "__main__":
    main()
