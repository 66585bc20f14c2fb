"""Pictures of islands: what every column holds at every level and iteration, as colours, beside photo and teacher."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from regionflow.formats.islands import Islands, level_names
from regionflow.formats.part_set import Projection
from regionflow.formats.parts import EMPTY, PartTargets
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.islands import agreement

TILE, GAP, HEAD = 128, 4, 16
NO_MASK = 40


@dataclass(frozen=True)
class Unrolled:
    """What the columns of one image hold after each of I iterations: levels [I, P, L, D], and embeddings [I, P, L, E],
    the same in the teacher's units."""

    levels: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def unroll(student: Agglomerator, images: torch.Tensor) -> Unrolled:
    """Run a student on one normalised image [1, 3, S, S]."""
    with torch.inference_mode():
        states = list(student.iterate(images))[1:]
        levels = torch.cat([state.permute(0, 3, 1, 2) for state in states])
        outputs = torch.cat([student.outputs(state).permute(0, 3, 1, 2) for state in states])
        embeddings = student.embeddings(outputs)
    return Unrolled(levels.float().cpu().numpy(), embeddings.float().cpu().numpy())


def islands(made: Unrolled, targets: PartTargets, projection: Projection) -> Islands:
    """The colours of an image's columns and of its targets, and how well the columns follow the teacher's masks."""
    teacher = projection.colours(targets.dense.astype(np.float32))
    teacher[targets.index == EMPTY] = NO_MASK
    scores = [agreement(levels, targets.index, targets.members) for levels in made.levels]
    return Islands(teacher, projection.colours(made.embeddings), np.array(scores))


def picture(square: NDArray[np.uint8], made: Islands, maps: Sequence[NDArray[np.int64]]) -> Image.Image:
    """Levels from top (whole) to bottom, columns: photo with the borders of the teacher's masks, teacher, iterations.

    maps: label map [S, S] of the teacher's masks of each level.
    """
    levels = made.teacher.shape[1]
    titles = ["photo", "teacher", *(f"iteration {i + 1}" for i in range(len(made.colours)))]
    sheet = Image.new("RGB", ((TILE + GAP) * len(titles), HEAD + (TILE + GAP + HEAD) * levels), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * (TILE + GAP) + 2, 2), title, fill="black")
    for row, level in enumerate(reversed(range(levels))):
        top = HEAD + row * (TILE + GAP + HEAD)
        pen.text((2, top), f"{level_names(levels)[level]}: agreement {made.last_agreement[level]:.2f}", fill="black")
        tiles = [
            _outlined(square, maps[level]),
            _tile(made.teacher[:, level]),
            *(_tile(each[:, level]) for each in made.colours),
        ]
        for column, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (column * (TILE + GAP), top + HEAD))
    return sheet


def notice(text: str) -> NDArray[np.uint8]:
    """A strip with a line of text, in place of the picture of an image that could not be read."""
    strip = Image.new("RGB", (8 * (TILE + GAP), HEAD), "white")
    ImageDraw.Draw(strip).text((2, 2), text, fill="black")
    return np.asarray(strip)


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
