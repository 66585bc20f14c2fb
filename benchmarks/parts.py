"""Part-whole targets: the published two steps and ours on the same photos, weights and encoder, a process each.

    python benchmarks/parts.py [--quick] [--weights vit_b] [--photos 8] [--threads 1] [--memory default kept]

The reference does what the two published scripts do: segment-anything's `Sam.forward` with 196 prompts, masks pickled
as booleans; then, per level, every masked image through timm's transform and the encoder in batches of 32 (with the
graph of autograd, as published), embeddings pickled as float32. Both sides prompt foreground points. Ours has three
settings:

exact                   what is computed is the same: identical masks are embedded once, empty ones never
bf16                    the same masks, both networks with bfloat16 products
bf16, near-duplicates   and of masks with an IoU above 0.9 one

All of it runs twice (`--memory`): with glibc's default malloc, and with one that keeps freed memory, which spares the
reference most (the names end in _kept_memory, as in amg.py).

vit_b has random weights (tests/helpers/small_sam.py), which draw a disc around every point: no two masks are the same.
sam_tiny is trained. The encoder's weights are random. CPU seconds. The last line is one JSON object.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import timm
import torch
from PIL import Image
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide

import common  # noqa: F401 - finds the library and the tests' helpers
from regionflow.formats import parts as parts_format
from regionflow.formats.regions import Generator
from regionflow.masks.options import SamOptions
from regionflow.parts.options import EmbedderOptions, TeacherOptions
from regionflow.parts.targets import Embedder, targets
from regionflow.parts.teacher import SamTeacher
from regionflow.sam.build import build_sam

SIZE = 224
# glibc's malloc: no block is so large that it is mapped alone, and freed memory is not given back to the system.
MEMORY = {
    "default": {},
    "kept": {"MALLOC_MMAP_THRESHOLD_": str(1 << 62), "MALLOC_TRIM_THRESHOLD_": str(1 << 62)},
}
SETTINGS = {"exact": (1.0, False), "bf16": (1.0, True), "bf16, near-duplicates": (0.9, True)}
"""Of ours: `duplicate_iou`, and whether the networks run in bfloat16."""
ENCODER = "maxvit_rmlp_pico_rw_256.sw_in1k"
SOURCES = ("astronaut", "chelsea", "coffee", "rocket", "cat", "hubble_deep_field", "immunohistochemistry", "retina")


@dataclass
class Spent:
    """CPU seconds, bytes and encoder passes of one side, and the peak memory of its process in GiB."""

    masks: float = 0.0
    embeddings: float = 0.0
    bytes: int = 0
    passes: int = 0
    peak: float = 0.0
    vectors: list[np.ndarray] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.masks + self.embeddings


class Published:
    """The two published scripts, one image at a time."""

    def __init__(self, sam: Sam, grid: int) -> None:
        self.sam, self.spent = sam, Spent()
        patch = SIZE // grid
        self.centres = range(patch // 2, SIZE, patch)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder = timm.create_model(ENCODER)
        self.encoder.reset_classifier(0)
        config = timm.data.resolve_model_data_config(self.encoder.eval())
        self.transform = timm.data.create_transform(**config, is_training=False)

    def run(self, image: np.ndarray, folder: Path) -> None:
        start = time.process_time()
        resize = ResizeLongestSide(self.sam.image_encoder.img_size)
        points = torch.tensor([[[x, y]] for y in self.centres for x in self.centres])
        request = {
            "image": torch.as_tensor(resize.apply_image(image)).permute(2, 0, 1).contiguous(),
            "point_coords": resize.apply_coords_torch(points, image.shape[:2]),
            "point_labels": torch.ones(len(points), 1),
            "original_size": image.shape[:2],
        }
        masks = self.sam([request], multimask_output=True)[0]["masks"]
        pickled = folder / "masks.pkl"
        pickled.write_bytes(pickle.dumps([mask.numpy() for mask in masks], pickle.HIGHEST_PROTOCOL))
        middle = time.process_time()
        stack = pickle.loads(pickled.read_bytes())
        levels = [self._embed(image, [masks[level] for masks in stack]) for level in range(3)]
        vectors = np.stack(levels, axis=1)
        embedded = folder / "embeddings.pkl"
        embedded.write_bytes(pickle.dumps(vectors))
        self.spent.masks += middle - start
        self.spent.embeddings += time.process_time() - middle
        self.spent.bytes += pickled.stat().st_size + embedded.stat().st_size
        self.spent.vectors.append(vectors)

    def _embed(self, image: np.ndarray, masks: list[np.ndarray]) -> list[np.ndarray]:
        rows: list[np.ndarray] = []
        for first in range(0, len(masks), 32):
            views = [Image.fromarray(image * mask[..., None]) for mask in masks[first : first + 32]]
            rows.extend(self.encoder(torch.stack([self.transform(view) for view in views])).detach().numpy())
            self.spent.passes += len(views)
        return rows


class Ours:
    """The two stages, one image at a time."""

    def __init__(self, checkpoint: SamOptions, grid: int, duplicate_iou: float, bf16: bool) -> None:
        sam = checkpoint.model_copy(update={"precision": "bf16" if bf16 else "exact"})
        self.teacher = SamTeacher(TeacherOptions(grid=grid, duplicate_iou=duplicate_iou), sam)
        dtype = "bf16" if bf16 else "fp32"
        self.embedder = Embedder(EmbedderOptions(model=ENCODER, random_seed=0, view="as_published", dtype=dtype))
        self.spent = Spent()

    def run(self, image: np.ndarray, folder: Path) -> None:
        start = time.process_time()
        masks, embedded = folder / "masks.json.gz", folder / "targets.h5"
        parts_format.write_part_masks(masks, "photo", "photo", self.teacher.masks(image), Generator("parts_masks", {}))
        middle = time.process_time()
        parts = parts_format.read_part_masks(masks)
        made = targets(self.embedder.embed(image, parts.masks), parts)
        parts_format.write_part_targets(embedded, "photo", made, {})
        self.spent.masks += middle - start
        self.spent.embeddings += time.process_time() - middle
        self.spent.bytes += masks.stat().st_size + embedded.stat().st_size
        self.spent.passes += len(made.embeddings)
        self.spent.vectors.append(made.dense.astype(np.float32))


def checkpoint_of(weights: str, folder: Path) -> SamOptions:
    """The SAM of that name."""
    from helpers.small_sam import save_random_vit

    if weights == "sam_tiny":
        return SamOptions(model="sam_tiny")
    return SamOptions(checkpoint=str(save_random_vit(folder / "vit_b.pth")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one photo, sam_tiny, 7 x 7 points")
    parser.add_argument("--weights", choices=("vit_b", "sam_tiny"), help="default: vit_b; with --quick sam_tiny")
    parser.add_argument("--photos", type=int, help="default: 8; with --quick 1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", nargs="+", choices=MEMORY, help="default: both; with --quick default")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--measured", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.weights = given.weights or ("sam_tiny" if given.quick else "vit_b")
    given.photos = given.photos or (1 if given.quick else 8)
    given.memory = given.memory or (["default"] if given.quick else [*MEMORY])
    if given.side:
        torch.set_num_threads(given.threads)
        spent = measure(given.side, given.weights, given.photos, 7 if given.quick else 14)
        given.measured.write_bytes(pickle.dumps(spent))
        return
    figures: dict[str, float] = {}
    for memory in given.memory:
        spent = {name: run_apart(name, given.threads, memory) for name in ("published", *SETTINGS)}
        print_table(f"{given.weights}, {given.photos} photo(s), {given.threads} thread(s), memory: {memory}", spent)
        suffix = "_kept_memory" if memory == "kept" else ""
        figures |= {f"{name}{suffix}": value for name, value in ratios(spent).items()}
        figures |= accuracy(spent)
    about = {"quick": given.quick, "weights": given.weights, "photos": given.photos}
    print(json.dumps({"benchmark": "parts", **about, **figures}))


def run_apart(side: str, threads: int, memory: str) -> Spent:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        measured = Path(name) / "measured"
        again = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--measured", str(measured)]
        own = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), **MEMORY[memory]}
        subprocess.run(again, env=os.environ | own, check=True)
        spent: Spent = pickle.loads(measured.read_bytes())
    return spent


def measure(side: str, weights: str, photos: int, grid: int) -> Spent:
    """Run one side on the photos."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = checkpoint_of(weights, folder)
        if side == "published":
            runner: Published | Ours = Published(build_sam("auto", options.needed_weights()), grid)
        else:
            runner = Ours(options, grid, *SETTINGS[side])
        for index in range(photos):
            photo = np.ascontiguousarray(getattr(skimage.data, SOURCES[index % len(SOURCES)])()[..., :3])
            runner.run(cv2.resize(photo, (SIZE, SIZE)), folder)
    runner.spent.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return runner.spent


def print_table(title: str, spent: Mapping[str, Spent]) -> None:
    """Seconds, encoder passes and bytes of each side."""
    photos = len(spent["published"].vectors)
    print(f"{title}; per photo:\n{'':24} {'masks s':>8} {'embed s':>8} {'passes':>7} {'MB':>8} {'GiB':>5} {'times':>6}")
    for name, side in spent.items():
        numbers = [side.masks, side.embeddings, side.passes, side.bytes / 1e6]
        shares = [number / photos for number in numbers]
        print(f"{name:24} {{:8.2f}} {{:8.2f}} {{:7.0f}} {{:8.3f}}".format(*shares), end="")
        print(f" {side.peak:5.1f} {spent['published'].seconds / side.seconds:6.2f}", flush=True)


def ratios(spent: Mapping[str, Spent]) -> dict[str, float]:
    """How much faster, smaller and how many fewer passes each setting is."""
    published = spent["published"]
    figures = {}
    for name, key in zip(SETTINGS, ("", "bf16_", "bf16_near_duplicates_"), strict=True):
        side = spent[name]
        figures[f"{key}speedup"] = round(published.seconds / side.seconds, 2)
        figures[f"{key}masks_speedup"] = round(published.masks / side.masks, 2)
        figures[f"{key}bytes_ratio"] = round(side.bytes / published.bytes, 5)
        figures[f"{key}encoder_passes_ratio"] = round(side.passes / published.passes, 4)
        figures[f"{key}peak_memory_ratio"] = round(side.peak / published.peak, 3)
    return figures


def accuracy(spent: Mapping[str, Spent]) -> dict[str, float]:
    """How near the embeddings are to the published ones, of masks that neither side has as empty."""
    published = spent["published"].vectors
    figures = {}
    for name, key in zip(SETTINGS, ("exact", "bf16", "bf16_near_duplicates"), strict=True):
        pairs = list(zip(published, spent[name].vectors, strict=True))
        figures[f"{key}_mean_cosine"] = round(float(np.concatenate([_cosine(a, b) for a, b in pairs]).mean()), 5)
        if name == "exact":
            errors = np.concatenate([np.abs(a - b).max(-1)[_known(a, b)] for a, b in pairs])
            figures["exact_largest_difference"] = float(f"{errors.max():.2g}")
            figures["embedding_std"] = float(f"{np.concatenate([a[_known(a, b)] for a, b in pairs]).std():.2g}")
    return figures


def _cosine(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine [P, L] of embeddings, of masks that neither side has as empty."""
    both = _known(vectors, others)
    a, b = vectors[both], others[both]
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def _known(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    return (np.abs(others).max(-1) > 0) & (np.abs(vectors).max(-1) > 0)


if __name__ == "__main__":
    main()
