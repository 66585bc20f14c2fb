"""From the bands that a file holds to RGB: which are taken, how 16 bits become 8, and what transparency means.

`images.scale_16bit` decides how samples of more than 8 bits become 8: `high_byte` keeps the upper 8 bits, `full_range`
stretches smallest to largest value of the image over 0 ... 255, `percentile` its 2nd to 98th percentile. One stretch
serves all colours, so that hues stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regionflow.images.errors import UnreadableImage
from regionflow.images.options import Scale16Bit

Alpha = Literal["", "sure", "straight", "premultiplied"]
SMALL_PART = 0.25
PERCENTILES = (0.02, 0.98)


@dataclass(frozen=True)
class Bands:
    """Samples as a file holds them: uint8 or uint16 [H, W, n], of `bits` significant bits.

    `colours` of the bands are grey (1) or red, green and blue (3); `alpha` says whether the band behind them is tagged
    as transparency, and of which kind (`sure` is straight and cannot be anything else); further bands have no meaning
    that the file tells. `by_choice`: whether `images.bands` may choose among them.
    """

    samples: NDArray[np.uint8] | NDArray[np.uint16]
    bits: int
    colours: int
    alpha: Alpha = ""
    by_choice: bool = False


@dataclass(frozen=True)
class Reading:
    """An image as every stage sees it: RGB uint8 [H, W, 3], upright; and what people should know about it."""

    pixels: NDArray[np.uint8]
    note: str = ""


def to_rgb(bands: Bands, chosen: Sequence[int] | None, scale: Scale16Bit) -> Reading:
    """RGB over white. `chosen` are one or three bands, counted from 1; None takes the colours the file names.

    Raises UnreadableImage where bands are chosen that are not there, or where there are bands of unknown meaning and
    none are chosen.
    """
    samples, alpha = bands.samples, None
    count = samples.shape[2]
    if chosen is not None and bands.by_choice and count > 1:
        if max(chosen) > count:
            raise UnreadableImage(f"has {count} bands; images.bands asks for band {max(chosen)}")
        samples = samples[..., [band - 1 for band in chosen]]
    else:
        known = bands.colours + bool(bands.alpha)
        if count > known:
            raise UnreadableImage(_unknown_bands(count, bands.colours))
        if bands.alpha:
            samples, alpha = samples[..., : bands.colours], samples[..., bands.colours]
            if bands.alpha != "sure":
                _check_alpha(samples, alpha, bands)
    counted = samples if alpha is None else samples[alpha > 0]
    table, note = _to_8_bit(counted, bands.bits, scale)
    rgb = np.broadcast_to(table[samples], (*samples.shape[:2], 3))
    if alpha is not None:
        rgb = _over_white(rgb, _high_byte(bands.bits)[alpha], bands.alpha)
    return Reading(np.ascontiguousarray(rgb), note)


def _unknown_bands(count: int, colours: int) -> str:
    said = "red, green and blue" if colours == 3 else "grey"
    return (
        f"has {count} bands, of which the file names {said}; choose one or three with images.bands, "
        f"for example [{'1, 2, 3' if count >= 3 else '1'}]"
    )


def _check_alpha(colours: NDArray, alpha: NDArray, bands: Bands) -> None:
    """Refuse a band that is tagged as transparency but holds data, as near infrared often is."""
    opaque = (1 << bands.bits) - 1
    if bands.alpha == "premultiplied":
        holds_data = bool((colours > alpha[..., None]).any())
    else:
        # Transparency is mostly all or nothing, with soft edges; zero everywhere would hide the whole image.
        seen = np.count_nonzero(alpha)
        holds_data = bool(seen == 0 or np.count_nonzero(alpha == opaque) * 2 < seen)
    if holds_data:
        count = colours.shape[2]
        raise UnreadableImage(
            f"its band {count + 1} is tagged as transparency but looks like data (near infrared?); choose bands with "
            f"images.bands, for example [{', '.join(str(i + 1) for i in range(count))}] to leave it out"
        )


def _to_8_bit(samples: NDArray, bits: int, scale: Scale16Bit) -> tuple[NDArray[np.uint8], str]:
    """The 8-bit value of every possible sample, and a note where most of 16 bits is unused."""
    high_byte = _high_byte(bits)
    if bits <= 8 or samples.size == 0:
        return high_byte, ""
    if scale == "percentile":
        share = np.cumsum(np.bincount(samples.ravel(), minlength=1 << bits)) / samples.size
        low, high = (int(np.searchsorted(share, p)) for p in PERCENTILES)
    else:
        low, high = int(samples.min()), int(samples.max())
    if scale == "high_byte":
        if bits == 16 and high - low <= SMALL_PART * 0xFFFF:
            levels = (high >> 8) - (low >> 8) + 1
            return high_byte, (
                f"its 16-bit values reach from {low} to {high} only, {levels} of 256 levels of grey; "
                f"images.scale_16bit: full_range stretches them"
            )
        return high_byte, ""
    if high <= low:
        return high_byte, ""
    stretched = (np.arange(1 << bits, dtype=np.float64) - low) * (255 / (high - low))
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8), ""


def _high_byte(bits: int) -> NDArray[np.uint8]:
    """The 8-bit value of every sample of up to 16 bits: the upper 8 bits, or fewer bits spread over 0 ... 255."""
    values = np.arange(1 << bits, dtype=np.int64)
    return (values >> (bits - 8) if bits > 8 else values * 255 // ((1 << bits) - 1)).astype(np.uint8)


def _over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], kind: Alpha) -> NDArray[np.uint8]:
    rgba = np.ascontiguousarray(np.dstack([rgb, alpha]))
    mode = "RGBa" if kind == "premultiplied" else "RGBA"
    image = Image.frombuffer(mode, (rgba.shape[1], rgba.shape[0]), rgba, "raw", mode, 0, 1).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
