"""The page about part-whole hierarchies: islands at every level and iteration, their agreement, and the training."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regionflow.formats.images import ImageRow
from regionflow.formats.islands import label_maps, level_names, read_islands
from regionflow.formats.layout import for_image
from regionflow.formats.parts import PartMasks, read_part_masks
from regionflow.formats.training import Row, read_metrics, read_record
from regionflow.report import page, pictures, survey

SHOWN, SIDE = 24, 336
"""Images whose islands are shown, spread evenly over the set; side in pixels of their photos."""
EDGES = np.linspace(-2, 2, 41)
"""Of the histograms: an agreement is a difference of two cosines."""
LOSSES = {"train_loss": "training", "val_loss": "held out"}
FIGURES = ("train_images", "val_images", "val_loss", "val_loss_before", "baseline_val_loss")
TESTED = ("accuracy", "images", "of", "of_unknown_class")
"""What is read of the figures of the training and of the probe."""


@dataclass(frozen=True)
class PartFiles:
    """Where the files of a student are: islands and masks are patterns with {image}; accuracy: of the probe, if any."""

    islands: Path
    masks: Path
    record: Path
    metrics: Path
    accuracy: Path | None = None


def build_parts(
    path: Path, images: Sequence[ImageRow], files: PartFiles, photo: Callable[[ImageRow, int], NDArray[np.uint8]]
) -> None:
    """Write the page. images: those that could be read; photo: an image as the square [S, S, 3] that the student sees.

    Raises BadFile, naming the file, if one is damaged.
    """
    made = [read_islands(for_image(files.islands, row.id), row.id) for row in images]
    shown = survey.spread(SHOWN, len(images))
    levels = made[0].teacher.shape[1] if made else 0
    scores = np.array([each.last_agreement for each in made], float).reshape(len(made), levels)
    metrics = read_metrics(files.metrics, FIGURES)
    tested = None if files.accuracy is None else read_metrics(files.accuracy, TESTED)
    data = {
        "levels": list(level_names(levels)),
        "images": [images[i].id for i in shown],
        "of": len(images),
        "agreement": [_known(scores[i]) for i in shown],
        "mean": [_mean(column) for column in scores.T],
        "histograms": [survey.histogram(column, EDGES) for column in scores.T],
        "training": training(read_record(files.record), metrics, level_names(levels)),
        "facts": _facts(metrics, tested),
    }
    pieces = (
        (
            f"islands-{place}",
            {
                "teacher": _text(made[i].teacher),
                "iterations": [_text(colours) for colours in made[i].colours],
                "agreement": [_known(row) for row in made[i].agreement],
                **_photo(read_part_masks(for_image(files.masks, images[i].id), images[i].id), images[i], photo),
            },
        )
        for place, i in enumerate(shown)
    )
    scripts = ("base", "figures", "curves", "parts")
    page.write_page(path, "parts", data, pieces, template="parts", scripts=scripts, styles=("page", "parts"))


def training(record: Sequence[Row], metrics: Mapping[str, Any], levels: Sequence[str]) -> list[dict[str, Any]]:
    """The curves of a record: panels of lines over the steps. A line of one value is the same at all steps."""
    steps = [row["step"] for row in record]
    losses = [_line(name, record, key) for key, name in LOSSES.items()]
    losses.append({"name": "mean target", "values": [metrics["baseline_val_loss"]]})
    agreement = [_line(name, record, f"agreement_{level}") for level, name in enumerate(levels)]
    return [
        {"title": "Loss", "steps": steps, "lines": losses},
        {"title": "Agreement of held-out images", "steps": steps, "lines": agreement},
    ]


def _line(name: str, record: Sequence[Row], key: str) -> dict[str, Any]:
    return {"name": name, "values": _known([row.get(key, np.nan) for row in record])}


def _facts(metrics: Mapping[str, Any], tested: Mapping[str, Any] | None) -> list[list[str]]:
    """What the cards say: value and what it is."""
    loss, before, baseline = (_told(metrics[name]) for name in ("val_loss", "val_loss_before", "baseline_val_loss"))
    facts = [
        [str(metrics["train_images"]), f"images trained on, {metrics['val_images']} held out"],
        [loss, f"held-out loss, {before} before the training"],
        [baseline, "held-out loss of the mean target"],
    ]
    if tested is not None and tested["images"]:
        unknown = tested["of_unknown_class"]
        more = f"; {unknown} of classes that it was not trained on count nowhere" if unknown else ""
        what = f"of {tested['images']} images ({tested['of']}) right by the probe{more}"
        facts.append([f"{100 * tested['accuracy']:.1f} %", what])
    return facts


def _told(value: float | None) -> str:
    """A loss for people; one that cannot be told is null in the file."""
    return "-" if value is None else f"{value:.3g}"


def _photo(
    masks: PartMasks, row: ImageRow, photo: Callable[[ImageRow, int], NDArray[np.uint8]]
) -> dict[str, str | list[str]]:
    """The photo, and the borders of the teacher's masks at each level."""
    side = (SIDE, SIDE)
    large = cv2.resize(photo(row, masks.size), side, interpolation=cv2.INTER_CUBIC)
    maps = [cv2.resize(labels.astype(np.int32), side, interpolation=cv2.INTER_NEAREST) for labels in label_maps(masks)]
    return {"photo": pictures.jpeg(np.asarray(large), 82), "borders": [pictures.borders(np.asarray(m)) for m in maps]}


def _text(colours: NDArray[np.uint8]) -> str:
    """Colours [P, L, 3] as base64, level by level."""
    return base64.b64encode(np.ascontiguousarray(colours.swapaxes(0, 1)).tobytes()).decode("ascii")


def _known(values: Sequence[float] | NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def _mean(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), 3) if len(finite) else None
