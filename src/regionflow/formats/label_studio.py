"""Label Studio's brush format: run lengths of the RGBA pixels of a layer, packed into bits and written as bytes.

The format is that of the JavaScript package rle-pack, which Label Studio's editor uses: 32 bits say how many values
follow, 5 the bits of a value less one, four times 4 the bits of a run's length less one. Then runs: a bit that says
whether one value is repeated, 2 bits that choose one of the four sizes, the length less one, and the value or values.
Runs go along the rows, unlike COCO's. What is encoded here equals what label-studio-converter encodes (tested).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from regionflow.formats import rle

CHANNELS = 4
WORD_BITS = 8
RUN_BITS = (3, 4, 8, 16)
HEAD = f"{WORD_BITS - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in RUN_BITS)


def to_brush(mask: rle.Rle) -> list[int]:
    """The bytes that Label Studio takes as `value.rle`: all four channels 255 in the mask, 0 outside."""
    flat = rle.decode(mask).ravel()
    bits = [f"{flat.size * CHANNELS:032b}", HEAD]
    edges = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.empty(0, np.int64)
    for start, stop in zip(edges, np.r_[edges[1:], flat.size], strict=True):
        bits += _runs(int(stop - start) * CHANNELS, 255 * int(flat[start]))
    text = "".join(bits)
    text += "0" * (8 - len(text) % 8)  # a whole byte where none is needed, as label-studio-converter
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _runs(length: int, value: int) -> Iterator[str]:
    """A value repeated so often: one run of the smallest size that holds it, or several of the largest."""
    chosen = next((i for i, bits in enumerate(RUN_BITS) if length <= 1 << bits), len(RUN_BITS) - 1)
    longest = 1 << RUN_BITS[chosen]
    for start in range(0, length, longest):
        part = min(length - start, longest)
        yield f"1{chosen:02b}{part - 1:0{RUN_BITS[chosen]}b}{value:0{WORD_BITS}b}"


def from_brush(brush: Sequence[int], height: int, width: int) -> rle.Rle:
    """The pixels of a brush whose alpha is not 0, as Label Studio's own conversion to COCO takes them.

    Raises ValueError if it is no such encoding, is cut off, or is not of an image of height x width.
    """
    alpha = _values(_Bits(_as_bytes(brush)), height * width * CHANNELS)[CHANNELS - 1 :: CHANNELS]
    return rle.encode(alpha.reshape(height, width))


def _as_bytes(brush: Sequence[int]) -> bytes:
    try:
        return bytes(brush)
    except (TypeError, ValueError):
        raise ValueError("a brush is a list of bytes, 0 to 255") from None


def _values(bits: "_Bits", count: int) -> NDArray[np.bool_]:
    """Which of the values [count] are not 0."""
    stated = bits.read(32)
    if stated != count:
        raise ValueError(f"a brush of {stated} values, where the image has {count} ({CHANNELS} for each pixel)")
    word, sizes = bits.read(5) + 1, [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(count, dtype=bool)
    start = 0
    while start < count:
        repeated, size = bits.read(1), sizes[bits.read(2)]
        stop = start + 1 + bits.read(size)
        if stop > count:
            raise ValueError("a run of the brush goes on after the last pixel")
        values[start:stop] = bits.read(word) != 0 if repeated else bits.words(stop - start, word)
        start = stop
    return values


class _Bits:
    """Bits read one after the other, the highest of each byte first. Raises ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def read(self, count: int) -> int:
        """The number that the next bits are."""
        begin, end = self._take(count)
        number = int.from_bytes(self._data[begin // 8 : -(-end // 8)], "big")
        return number >> -end % 8 & (1 << count) - 1

    def words(self, number: int, size: int) -> NDArray[np.bool_]:
        """Which of the next words are not 0."""
        begin, end = self._take(number * size)
        bits = np.unpackbits(np.frombuffer(self._data[begin // 8 : -(-end // 8)], np.uint8))
        return bits[begin % 8 :][: number * size].astype(bool).reshape(number, size).max(axis=1)

    def _take(self, count: int) -> tuple[int, int]:
        begin, end = self._place, self._place + count
        if end > 8 * len(self._data):
            raise ValueError("the brush is cut off")
        self._place = end
        return begin, end
