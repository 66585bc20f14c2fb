"""Part-whole targets: the published two steps and ours in turn, on the same photos, weights and encoder.

    python benchmarks/parts.py [--quick] [--weights vit_b] [--photos 8] [--threads 1]

The reference does what the two published scripts do: segment-anything's `Sam.forward` with 196 prompts, masks pickled
as booleans; then, per level, every masked image through timm's transform and the encoder in batches of 32 (with the
graph of autograd, as published), embeddings pickled as float32. Both sides prompt foreground points. Ours is timed
twice: identical masks once, which computes the same; and near-duplicates (mask IoU above 0.9) once, both networks with
bfloat16 products, which the published scripts cannot. All keep freed memory (mallopt), which helps the reference most.

vit_b has random weights (tests/helpers/small_sam.py), which draw a disc around every point: no two masks are the same.
sam_tiny is trained. The encoder's weights are random. The last line is one JSON object.
"""

import argparse
import ctypes
import json
import pickle
import sys
import tempfile
import time
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

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from regionflow.formats import parts as parts_format  # noqa: E402
from regionflow.formats.regions import Generator  # noqa: E402
from regionflow.masks.options import SamOptions  # noqa: E402
from regionflow.parts.options import EmbedderOptions, TeacherOptions  # noqa: E402
from regionflow.parts.targets import Embedder, targets  # noqa: E402
from regionflow.parts.teacher import SamTeacher  # noqa: E402
from regionflow.sam.build import build_sam  # noqa: E402

SIZE, PATCH = 224, 16
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
ENCODER = "maxvit_rmlp_pico_rw_256.sw_in1k"
SOURCES = ("astronaut", "chelsea", "coffee", "rocket", "cat", "hubble_deep_field", "immunohistochemistry", "retina")


@dataclass
class Spent:
    """CPU seconds (other load on the machine hardly touches them), bytes and encoder passes of one side."""

    masks: float = 0.0
    embeddings: float = 0.0
    bytes: int = 0
    passes: int = 0
    vectors: list[np.ndarray] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.masks + self.embeddings


class Published:
    """The two published scripts, one image at a time."""

    def __init__(self, sam: Sam) -> None:
        self.sam, self.spent = sam, Spent()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder = timm.create_model(ENCODER)
        self.encoder.reset_classifier(0)
        config = timm.data.resolve_model_data_config(self.encoder.eval())
        self.transform = timm.data.create_transform(**config, is_training=False)

    def run(self, image: np.ndarray, folder: Path) -> None:
        start = time.process_time()
        resize = ResizeLongestSide(self.sam.image_encoder.img_size)
        centres = range(PATCH // 2, SIZE, PATCH)
        points = torch.tensor([[[x, y]] for y in centres for x in centres])
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

    def __init__(self, checkpoint: SamOptions, duplicate_iou: float = 1.0, bf16: bool = False) -> None:
        sam = checkpoint.model_copy(update={"precision": "bf16" if bf16 else "exact"})
        self.teacher = SamTeacher(TeacherOptions(duplicate_iou=duplicate_iou), sam)
        dtype = "bf16" if bf16 else "fp32"
        self.embedder = Embedder(EmbedderOptions(model=ENCODER, random_seed=0, view="as_published", dtype=dtype))
        self.spent = Spent()

    def run(self, image: np.ndarray, folder: Path) -> None:
        start = time.process_time()
        masks, embedded = folder / "masks.json.gz", folder / "targets.h5"
        parts_format.write_part_masks(masks, "photo", "photo", self.teacher.masks(image), Generator("parts_masks", {}))
        middle = time.process_time()
        made = targets(self.embedder, image, parts_format.read_part_masks(masks))
        parts_format.write_part_targets(embedded, "photo", made, {})
        self.spent.masks += middle - start
        self.spent.embeddings += time.process_time() - middle
        self.spent.bytes += masks.stat().st_size + embedded.stat().st_size
        self.spent.passes += len(made.embeddings)
        self.spent.vectors.append(made.dense.astype(np.float32))


def checkpoint_of(weights: str, folder: Path) -> SamOptions:
    """The SAM of that name."""
    from helpers.small_sam import save_random_vit_b

    if weights == "sam_tiny":
        return SamOptions(model="sam_tiny")
    return SamOptions(checkpoint=str(save_random_vit_b(folder / "vit_b.pth")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one photo, sam_tiny")
    parser.add_argument("--weights", choices=("vit_b", "sam_tiny"), help="default: vit_b; with --quick sam_tiny")
    parser.add_argument("--photos", type=int, help="default: 8; with --quick 1")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    weights = given.weights or ("sam_tiny" if given.quick else "vit_b")
    count = given.photos or (1 if given.quick else 8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = checkpoint_of(weights, folder)
        published = Published(build_sam("auto", options.needed_weights()))
        sides = {
            "published": published,
            "ours": Ours(options),
            "ours, near-duplicates once, bf16": Ours(options, 0.9, bf16=True),
        }
        for index in range(count):
            photo = np.ascontiguousarray(getattr(skimage.data, SOURCES[index % len(SOURCES)])()[..., :3])
            image = cv2.resize(photo, (SIZE, SIZE))
            for side in list(sides.values())[:: 1 if index % 2 else -1]:
                side.run(image, folder)
    report(weights, count, given, {name: side.spent for name, side in sides.items()})


def report(weights: str, count: int, given: argparse.Namespace, spent: dict[str, Spent]) -> None:
    """Print a table, and the figures as JSON."""
    print(f"{weights}, {count} photo(s), {given.threads} thread(s); per photo:")
    print(f"{'':33} {'masks s':>8} {'embed s':>8} {'passes':>7} {'MB':>8}")
    for name, side in spent.items():
        numbers = side.masks / count, side.embeddings / count, side.passes / count, side.bytes / count / 1e6
        print(f"{name:33} {{:8.2f}} {{:8.2f}} {{:7.0f}} {{:8.3f}}".format(*numbers))
    published, ours, fewer = spent.values()
    errors = [np.abs(a - b).max(-1) for a, b in zip(published.vectors, ours.vectors, strict=True)]
    cosines = [_cosine(a, b) for a, b in zip(published.vectors, fewer.vectors, strict=True)]
    figures = {
        "speedup": published.seconds / ours.seconds,
        "masks_speedup": published.masks / ours.masks,
        "bytes_ratio": ours.bytes / published.bytes,
        "encoder_passes_ratio": ours.passes / published.passes,
        "bf16_near_duplicates_speedup": published.seconds / fewer.seconds,
        "bf16_near_duplicates_bytes_ratio": fewer.bytes / published.bytes,
        "bf16_near_duplicates_encoder_passes_ratio": fewer.passes / published.passes,
        "bf16_cosine": float(np.mean(np.concatenate(cosines))),
        "embeddings_off_by_1e-2": float(np.mean(np.concatenate(errors) > 1e-2)),
    }
    print(json.dumps({"benchmark": "parts", "quick": given.quick, "weights": weights, "photos": count, **figures}))


def _cosine(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine [P, L] of embeddings, of masks that neither side has as empty."""
    both = (np.abs(others).max(-1) > 0) & (np.abs(vectors).max(-1) > 0)
    a, b = vectors[both], others[both]
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def keep_freed_memory() -> None:
    """Large tensors come and go with every batch: malloc keeps them instead of asking for new pages each time."""
    libc = ctypes.CDLL(None)
    for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 256 << 20)):
        libc.mallopt(parameter, value)


if __name__ == "__main__":
    main()
