"""Islands of one image: the colour of every column at every level and iteration, beside the teacher's, JSON.

`{image_id, grid, levels, teacher, iterations: [{colours, agreement}], error}`. Colours are base64 of uint8 [P, L, 3]:
patches row by row, levels from subpart to whole. `agreement` has a number per level, null where it cannot be told.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.checked import check_owner, read_checked_json, write_checked_json
from regionflow.formats.parts import EMPTY, PartMasks

WHAT = "a file of islands"
_NAMES = {3: ("subpart", "part", "whole")}


@dataclass(frozen=True)
class Islands:
    """What a student makes of one image.

    teacher: uint8 [P, L, 3], the colours of the teacher's embeddings; colours: uint8 [I, P, L, 3], those of the
    student's after each of I iterations; agreement: [I, L] with the teacher's masks, NaN where it cannot be told.
    An image that could not be read has none of them, and says why.
    """

    teacher: NDArray[np.uint8]
    colours: NDArray[np.uint8]
    agreement: NDArray[np.float64]
    error: str | None = None

    @classmethod
    def none(cls, error: str) -> "Islands":
        """Of an image that could not be read."""
        return cls(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0, 0, 3), np.uint8), np.zeros((0, 0)), error)

    @property
    def last_agreement(self) -> NDArray[np.float64]:
        """Agreement per level after the last iteration [L]; [0] without one."""
        return self.agreement[-1] if len(self.agreement) else np.zeros(0)


def level_names(levels: int) -> Sequence[str]:
    """What the levels are called, from the lowest."""
    return _NAMES.get(levels) or [f"level {level}" for level in range(levels)]


def write_islands(path: Path, image_id: str, islands: Islands) -> None:
    """Write the islands of one image."""
    patches, levels, _ = islands.teacher.shape
    content = {
        "image_id": image_id,
        "grid": round(patches**0.5),
        "levels": levels,
        "teacher": _text(islands.teacher),
        "iterations": [
            {"colours": _text(colours), "agreement": [None if np.isnan(x) else round(float(x), 6) for x in agreement]}
            for colours, agreement in zip(islands.colours, islands.agreement, strict=True)
        ],
    }
    write_checked_json(path, content | ({} if islands.error is None else {"error": islands.error}))


def read_islands(path: Path, image_id: str | None = None) -> Islands:
    """Read the islands of one image, of that one if it is given.

    Raises BadFile, naming the file, if it is damaged, not what it should be, or of another image.
    """
    content, _ = read_checked_json(path, WHAT)
    try:
        check_owner(path, content["image_id"], image_id)
        shape = (content["grid"] ** 2, content["levels"], 3)
        steps = list(content["iterations"])
        colours = [_colours(step["colours"], shape) for step in steps]
        agreement = np.array([step["agreement"] for step in steps], float).reshape(len(steps), shape[1])
        teacher = _colours(content["teacher"], shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile.damaged(path, WHAT, error) from error
    return Islands(teacher, np.array(colours, np.uint8).reshape(len(steps), *shape), agreement, content.get("error"))


def label_maps(parts: PartMasks) -> list[NDArray[np.int64]]:
    """The teacher's masks as one label map [S, S] per level, large masks first, EMPTY where no mask is."""
    decoded = [rle.decode(mask) for mask in parts.masks]
    maps = []
    for level in range(parts.index.shape[1]):
        labels = np.full((parts.size, parts.size), EMPTY, np.int64)
        used = np.unique(parts.index[:, level][parts.index[:, level] != EMPTY])
        for row in sorted(used, key=lambda row: -int(decoded[row].sum())):
            labels[decoded[row]] = row
        maps.append(labels)
    return maps


def _text(colours: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")


def _colours(text: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text, validate=True), np.uint8).reshape(shape)
