"""Pictures of islands: what every column holds at every level and iteration, as colours, beside photo and teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from regionflow.formats.part_set import Projection
from regionflow.formats.parts import EMPTY, PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.islands import agreement

TILE, GAP, HEAD = 128, 4, 16
NO_MASK = 40
NAMES = {3: ("subpart", "part", "whole")}


@dataclass(frozen=True)
class Islands:
    """What a student makes of one image: embeddings [I, P, L, E] after each of I iterations in the teacher's units, and
    the agreement of the last levels with the teacher's masks [L]."""

    embeddings: NDArray[np.float32]
    agreement: NDArray[np.float64]


def islands(student: Agglomerator, images: torch.Tensor, targets: PartTargets) -> Islands:
    """Run a student on one normalised image [1, 3, S, S]."""
    with torch.inference_mode():
        states = list(student.iterate(images))[1:]
        outputs = [student.embeddings(student.outputs(levels).permute(0, 3, 1, 2))[0] for levels in states]
        last = states[-1].permute(0, 3, 1, 2)[0].float().cpu().numpy()
    embeddings = torch.stack(outputs).float().cpu().numpy()
    return Islands(embeddings, agreement(last, targets.index, targets.members))


def picture(
    square: NDArray[np.uint8], targets: PartTargets, made: Islands, projection: Projection, masks: Sequence[NDArray]
) -> Image.Image:
    """Levels from top (whole) to bottom, columns: photo with the borders of the teacher's masks, teacher, iterations.

    masks: label map [S, S] of each level, see `borders`.
    """
    levels = targets.index.shape[1]
    titles = ["photo", "teacher", *(f"iteration {i + 1}" for i in range(len(made.embeddings)))]
    sheet = Image.new("RGB", ((TILE + GAP) * len(titles), HEAD + (TILE + GAP + HEAD) * levels), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * (TILE + GAP) + 2, 2), title, fill="black")
    teacher = projection.colours(targets.dense.astype(np.float32))
    teacher[targets.index == EMPTY] = NO_MASK
    students = projection.colours(made.embeddings)
    for row, level in enumerate(reversed(range(levels))):
        top = HEAD + row * (TILE + GAP + HEAD)
        name = NAMES.get(levels, tuple(map(str, range(levels))))[level]
        pen.text((2, top), f"{name}: agreement {made.agreement[level]:.2f}", fill="black")
        tiles = [
            _outlined(square, masks[level]),
            _tile(teacher[:, level]),
            *(_tile(each[:, level]) for each in students),
        ]
        for column, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (column * (TILE + GAP), top + HEAD))
    return sheet


def notice(text: str) -> NDArray[np.uint8]:
    """A strip with a line of text, in place of the picture of an image that could not be read."""
    strip = Image.new("RGB", (8 * (TILE + GAP), HEAD), "white")
    ImageDraw.Draw(strip).text((2, 2), text, fill="black")
    return np.asarray(strip)


def label_maps(size: int, index: NDArray[np.int64], decoded: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.int64]]:
    """One label map [S, S] per level from the masks that it uses, large ones first, -1 where none is."""
    maps = []
    for level in range(index.shape[1]):
        labels = np.full((size, size), EMPTY, np.int64)
        used = np.unique(index[:, level][index[:, level] != EMPTY])
        for row in sorted(used, key=lambda row: -int(decoded[row].sum())):
            labels[decoded[row]] = row
        maps.append(labels)
    return maps


def _tile(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours of the patches [P, 3] as a square [TILE, TILE, 3]."""
    grid = round(len(colours) ** 0.5)
    image = np.ascontiguousarray(colours.reshape(grid, grid, 3))
    return np.asarray(cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_NEAREST), np.uint8)


def _outlined(square: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The photo with a white line where the label map changes."""
    image = np.array(cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)
    small = cv2.resize(labels.astype(np.int32), (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    edge = np.zeros(small.shape, bool)
    edge[:, 1:] |= small[:, 1:] != small[:, :-1]
    edge[1:] |= small[1:] != small[:-1]
    image[edge] = 255
    return image
