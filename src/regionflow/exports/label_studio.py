"""Named regions for Label Studio: tasks with the regions as brushes, and the labels to set up a project with."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from regionflow.base.files import whole, write_text
from regionflow.base.options import canonical_json
from regionflow.exports.named import NamedImage
from regionflow.exports.photos import Photos
from regionflow.formats.label_studio import to_brush
from regionflow.formats.palette import palette
from regionflow.formats.semantics import NONE

ADDRESS = "/data/local-files/?d="
"""Where Label Studio finds files below its LOCAL_FILES_DOCUMENT_ROOT."""
LABELS, IMAGE = "tag", "image"
"""What the brush labels and the picture are called in a project's setup."""


def write_tasks(path: Path, images: Iterable[NamedImage], photos: Photos, labeler: str) -> None:
    """Write Label Studio's JSON: a task per image, the regions that have a class as a prediction of `labeler`.

    Image by image, so that memory does not grow with the set.
    """
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, image in enumerate(images):
            prediction = {"model_version": labeler, "result": list(_results(image))}
            address = ADDRESS + quote(photos.file_name(image.row))
            task = {"data": {IMAGE: address, "image_id": image.row.id}, "predictions": [prediction]}
            file.write((",\n" if number else "\n") + canonical_json(task))
        file.write("\n]\n")


def _results(image: NamedImage) -> Iterator[dict[str, Any]]:
    height, width = image.regions.size
    for region, label in zip(image.regions.annotations, image.semantics.regions, strict=True):
        if label.value == NONE:
            continue
        name = image.semantics.name(label.value)
        yield {
            "id": region["region_id"],
            "type": "brushlabels",
            "from_name": LABELS,
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": label.score,
            "value": {"format": "rle", "rle": to_brush(region["segmentation"]), "brushlabels": [name]},
        }


def write_setup(path: Path, names: Sequence[str]) -> None:
    """Write the labeling interface (XML) of a project for such tasks: the classes in the colours of their maps."""
    coloured = zip(names, palette(len(names)).tolist(), strict=True)
    labels = [f'    <Label value={quoteattr(n)} background="#{r:02x}{g:02x}{b:02x}"/>' for n, (r, g, b) in coloured]
    lines = [
        "<View>",
        f'  <Image name="{IMAGE}" value="${IMAGE}"/>',
        f'  <BrushLabels name="{LABELS}" toName="{IMAGE}">',
        *labels,
        "  </BrushLabels>",
        "</View>",
    ]
    write_text(path, "\n".join(lines) + "\n")
