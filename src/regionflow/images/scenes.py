"""Drawn scenes with known regions: what the embedded SAM learns from, and what it is measured on.

Dead leaves (Matheron 1968; Lee, Mumford and Huang 2001) with textures, shading, cast shadows and parts: shapes fall on
a background one after the other and hide what is below. A shape is a whole; what is painted on it are its parts. No
photo is used.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

FIRST_TRAINING_SEED = 0
FIRST_VALIDATION_SEED = 10_000_000
FIRST_TEST_SEED = 20_000_000
"""Scenes are numbered by their seeds; the three sets never meet."""

SIDE = 256
SMALLEST_SHAPE = 60
"""Pixels; a shape with fewer is not drawn. What later shapes leave visible of a larger one can be less."""

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """One scene.

    image: uint8 [SIDE, SIDE, 3] RGB; wholes, parts: int32 [SIDE, SIDE], connected components numbered from 1, without
    gaps. The background is a whole as well, and a whole without parts is its own part.
    """

    image: NDArray[np.uint8]
    wholes: NDArray[np.int32]
    parts: NDArray[np.int32]

    def regions(self, least: int = 64) -> NDArray[np.bool_]:
        """All different true regions of at least `least` pixels, wholes and parts: bool [K, SIDE, SIDE]."""
        distinct = {}
        for labels in (self.wholes, self.parts):
            for i in np.flatnonzero(np.bincount(labels.ravel()) >= least):
                mask = labels == i
                distinct[mask.tobytes()] = mask
        return np.stack(list(distinct.values()))


def draw(seed: int) -> Scene:
    """The scene of a seed, always the same one."""
    rng = np.random.default_rng(seed)
    canvas = _Canvas(rng)
    canvas.background()
    for _ in range(int(rng.integers(4, 26))):
        canvas.whole()
    return Scene(_photograph(rng, canvas.image), _components(canvas.wholes), _components(canvas.parts))


def _components(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return label(labels + 1, connectivity=1).astype(np.int32)


class _Canvas:
    """What has been painted so far, and which whole and which part each pixel belongs to."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.image: Image = np.zeros((SIDE, SIDE, 3), np.float32)
        self.wholes = np.zeros((SIDE, SIDE), np.int32)
        self.parts = np.zeros((SIDE, SIDE), np.int32)
        self.painted = 0
        self.last_colour = _colour(rng)

    def background(self) -> None:
        """One texture, or two that meet in a line like a horizon or the edge of a table."""
        everywhere = np.ones((SIDE, SIDE), bool)
        self._paint(everywhere, _colour(self.rng), whole=True)
        if self.rng.random() < 0.4:
            y = np.mgrid[:SIDE, :SIDE][0]
            below = y > self.rng.uniform(60, 200) + _noise(self.rng, SIDE, SIDE, 60) * self.rng.uniform(0, 15)
            if below.any():
                self._paint(below, _colour(self.rng), whole=True)

    def whole(self) -> None:
        """One shape with its shadow and its parts; sometimes a row of equal ones."""
        rng = self.rng
        # Few large and many small ones, as in photos; a third of any size.
        small = rng.random() < 0.7
        radius = float(np.clip(9 * (rng.random() + 1e-3) ** -0.8, 9, 100)) if small else rng.uniform(25, 100)
        centre = rng.uniform(-10, SIDE + 10, 2)
        first = _shape(rng, radius, centre)
        copies = 1
        step = np.zeros(2)
        if radius < 30 and rng.random() < 0.12:
            copies = int(rng.integers(2, 6))
            angle = rng.choice([0, math.pi / 2, rng.uniform(0, 2 * math.pi)])
            step = radius * rng.uniform(2.1, 3.2) * np.array([math.cos(angle), math.sin(angle)])
        colour = self._next_colour(first)
        for i in range(copies):
            mask = _moved(first, i * step) if i else first
            if mask.sum() < SMALLEST_SHAPE:
                continue
            self._shadow(mask)
            self._paint(mask, colour, whole=True)
            if rng.random() < 0.5:
                self._paint_parts(mask, radius, colour)

    def _next_colour(self, mask: Mask) -> Image:
        """Often near to what it covers, sometimes that of the shape before: edges of every contrast."""
        chance = self.rng.random()
        if chance < 0.3 and mask.any():
            below = self.image[mask].mean(axis=0)
            self.last_colour = np.clip(below + self.rng.uniform(-55, 55) + self.rng.uniform(-20, 20, 3), 0, 255)
        elif chance > 0.45:
            self.last_colour = _colour(self.rng)
        return self.last_colour

    def _paint_parts(self, mask: Mask, radius: float, colour: Image) -> None:
        rng = self.rng
        ys, xs = np.nonzero(mask)
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(ys)))
            centre = np.array([xs[at], ys[at]], float)
            if rng.random() < 0.65:
                part = _shape(rng, max(5, radius * rng.uniform(0.15, 0.6)), centre)
            else:
                part = _half_or_band(rng, radius, centre)
            part &= mask
            if not 40 < part.sum() < 0.8 * len(ys):
                continue
            near = np.clip(colour + rng.uniform(-80, 80) + rng.uniform(-25, 25, 3), 0, 255)
            self._paint(part, _colour(rng) if rng.random() < 0.6 else near, whole=False)

    def _shadow(self, mask: Mask) -> None:
        """Darkens what is around: no edge of a shadow is the edge of a region."""
        rng = self.rng
        if rng.random() < 0.4:
            soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(2, 7))
            dark = rng.uniform(0.1, 0.5) * _moved(soft, rng.uniform(-6, 6, 2))
            self.image *= 1 - dark[..., None]

    def _paint(self, mask: Mask, colour: Image, whole: bool) -> None:
        rng = self.rng
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside = mask[box]
        texture = _texture(rng, inside.shape[0], inside.shape[1], colour)
        if rng.random() < 0.4:
            depth = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
            texture += (np.sqrt(depth / (depth.max() + 1e-3)) - 1)[..., None] * rng.uniform(0, 80)
        if rng.random() < 0.12:
            texture += _highlight(rng, inside.shape[0], inside.shape[1])
        self.image[box][inside] = texture[inside]
        self.painted += 1
        self.parts[mask] = self.painted
        if whole:
            self.wholes[mask] = self.painted


def _colour(rng: Rng) -> Image:
    colour = rng.integers(0, 256, 3).astype(np.float32)
    if rng.random() < 0.5:  # Photos are less colourful than the RGB cube.
        colour = colour.mean() + (colour - colour.mean()) * rng.uniform(0, 0.6)
    return colour


def _moved(image: NDArray, by: NDArray) -> NDArray:
    """Shifted by (x, y) pixels; what comes in from outside is zero."""
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32)
    flags = cv2.INTER_NEAREST if image.dtype == bool else cv2.INTER_LINEAR
    moved = cv2.warpAffine(
        image.astype(np.uint8 if image.dtype == bool else image.dtype), matrix, (SIDE, SIDE), flags=flags
    )
    return moved.astype(image.dtype)


# ---- shapes


def _shape(rng: Rng, radius: float, centre: NDArray) -> Mask:
    """An ellipse, a box, a polygon or a smooth blob of about `radius` pixels around (x, y)."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    kind = rng.random()
    if kind < 0.3:
        axes = max(1, int(radius)), max(1, int(radius * rng.uniform(0.35, 1)))
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind < 0.55:
        size = 2 * radius, 2 * radius * rng.uniform(0.2, 1)
        angle = float(rng.choice([0, 0, 90, rng.uniform(0, 180)]))
        corners = cv2.boxPoints(((float(centre[0]), float(centre[1])), size, angle))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    else:
        corners = _ring(rng, radius) + centre
        cv2.fillPoly(mask, [(_smooth(corners) if rng.random() < 0.75 else corners).astype(np.int32)], 1)
    return mask.astype(bool)


def _ring(rng: Rng, radius: float) -> NDArray:
    """Corners [n, 2] around the origin, at growing angles."""
    n = int(rng.integers(4, 13))
    angle = np.sort(rng.random(n) + np.arange(n)) / n * 2 * math.pi
    reach = radius * rng.uniform(0.4, 1.2, n)
    return np.stack([np.cos(angle) * reach, np.sin(angle) * reach * rng.uniform(0.4, 1)], axis=1)


def _smooth(corners: NDArray, points: int = 64) -> NDArray:
    """A closed Catmull-Rom curve through the corners."""
    n = len(corners)
    at = np.linspace(0, n, points, endpoint=False)
    i, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = (corners[(i + k) % n] for k in (-1, 0, 1, 2))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def _half_or_band(rng: Rng, radius: float, centre: NDArray) -> Mask:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    across = (x - centre[0]) * math.cos(angle) + (y - centre[1]) * math.sin(angle)
    return np.abs(across) < radius * rng.uniform(0.1, 0.3) if rng.random() < 0.5 else across > 0


# ---- textures


def _noise(rng: Rng, height: int, width: int, scale: float, aspect: float = 1.0) -> Image:
    """Smooth noise of unit variance before smoothing; features are `scale` pixels high and scale * aspect wide."""
    grid = max(2, int(height / scale) + 2), max(2, int(width / (scale * aspect)) + 2)
    drawn = rng.standard_normal(grid).astype(np.float32)
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _octaves(rng: Rng, height: int, width: int) -> Image:
    scale = math.exp(rng.uniform(math.log(2), math.log(40)))
    fine, finest = max(1.5, scale / 2), max(1.0, scale / 4)
    coarse = _noise(rng, height, width, scale)
    return 0.6 * (coarse + 0.5 * _noise(rng, height, width, fine) + 0.25 * _noise(rng, height, width, finest))


def _streaks(rng: Rng, height: int, width: int) -> Image:
    """Fine lines, horizontal or vertical: wood, hair, grass."""
    if rng.random() < 0.5:
        return 0.6 * _noise(rng, height, width, rng.uniform(1.5, 4), rng.uniform(4, 12))
    return 0.6 * _noise(rng, height, width, rng.uniform(6, 24), rng.uniform(0.08, 0.25))


def _along(rng: Rng, height: int, width: int) -> tuple[Image, Image]:
    """Two coordinates in pixels, along and across a random direction."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    c, s = math.cos(angle), math.sin(angle)
    return x * c + y * s, y * c - x * s


def _stripes(rng: Rng, height: int, width: int) -> Image:
    u, _ = _along(rng, height, width)
    period = rng.uniform(3, 16)
    if rng.random() < 0.5:
        u = u + _noise(rng, height, width, 20) * period * 0.4
    wave = np.sin(u * 2 * math.pi / period)
    return 0.6 * (wave if rng.random() < 0.5 else np.sign(wave))


def _checks(rng: Rng, height: int, width: int) -> Image:
    u, v = _along(rng, height, width)
    period = rng.uniform(4, 16) / (2 * math.pi)
    return (np.sin(u / period) * np.sin(v / period) > rng.uniform(-0.2, 0.6)).astype(np.float32)


def _spots(rng: Rng, height: int, width: int) -> Image:
    scale = math.exp(rng.uniform(math.log(2.5), math.log(10)))
    return (_noise(rng, height, width, scale) > rng.uniform(-0.5, 1)).astype(np.float32)


def _grain(rng: Rng, height: int, width: int) -> Image:
    return 0.6 * rng.standard_normal((height, width)).astype(np.float32)


def _plain(rng: Rng, height: int, width: int) -> Image:
    return np.zeros((height, width), np.float32)


PATTERNS: tuple[tuple[Callable[[Rng, int, int], Image], float], ...] = (
    (_plain, 0.3),
    (_octaves, 0.2),
    (_streaks, 0.12),
    (_stripes, 0.16),
    (_checks, 0.08),
    (_spots, 0.08),
    (_grain, 0.06),
)
"""Pattern and its share."""


def _texture(rng: Rng, height: int, width: int, colour: Image) -> Image:
    """A surface [height, width, 3] of about one colour: linear shading, a pattern towards another colour, grain."""
    surface = np.tile(colour.astype(np.float32), (height, width, 1))
    if rng.random() < 0.6:
        u, _ = _along(rng, height, width)
        slope = (rng.random(3) - 0.5) * 60 + rng.uniform(-90, 90)
        surface += ((u - u.mean()) / max(height, width))[..., None] * slope
    towards = _colour(rng) - colour
    towards *= rng.uniform(8, 60) / (np.abs(towards).max() + 1)
    pattern = PATTERNS[rng.choice(len(PATTERNS), p=[share for _, share in PATTERNS])][0]
    surface += pattern(rng, height, width)[..., None] * towards
    if rng.random() < 0.5:
        surface += rng.standard_normal(surface.shape).astype(np.float32) * rng.uniform(0, 10)
    return surface.astype(np.float32)


def _highlight(rng: Rng, height: int, width: int) -> Image:
    """A soft bright spot: like a shadow, no region of its own."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cy, cx = rng.random(2) * (height, width)
    spread = max(height, width) * rng.uniform(0.08, 0.3)
    spot = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * spread**2)) * rng.uniform(30, 120)
    return spot[..., None].astype(np.float32)


def _photograph(rng: Rng, image: Image) -> NDArray[np.uint8]:
    """Uneven light, blur, noise and JPEG, each sometimes."""
    if rng.random() < 0.5:
        image = image * (1 + rng.uniform(-0.25, 0.25) * _noise(rng, SIDE, SIDE, 150)[..., None])
    if rng.random() < 0.7:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3)), np.float32)
    image = image + rng.standard_normal(image.shape).astype(np.float32) * rng.uniform(0, 7)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return pixels
