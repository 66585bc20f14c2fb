"""COCO run-length encoding of binary masks.

Runs go down the columns (Fortran order) and start with a run of zeros. `Rle` is what `pycocotools.mask.decode`
takes, with `counts` as a str so that it fits into JSON. Encoding of single masks is pycocotools'; what it lacks
(label maps in one pass, runs as arrays) is here and is tested to give the same strings.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

MAX_DIGITS = 7
"""Characters of a number: seven hold every difference of two runs of 32 bits, which is all that pycocotools can."""

CHECKED_AT_ONCE = 1 << 19
"""Characters of counts that are checked together."""


DECODED_AT_ONCE = 1 << 16
"""Characters of counts whose runs are worked out together."""

SHORT_RUN = 32
"""Pixels of a mean run up to which painting all pixels of all masks at once is faster than run after run."""

Spans = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class Rle(TypedDict):
    """One mask: size is [height, width], counts the compressed COCO string."""

    size: list[int]
    counts: str


def _text(rle: dict) -> Rle:
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def encode(mask: NDArray[np.bool_]) -> Rle:
    """Encode one mask [H, W]."""
    return _text(coco.encode(np.asfortranarray(mask, dtype=np.uint8)))


def decode(rle: Rle) -> NDArray[np.bool_]:
    """Decode to a mask [H, W]."""
    return coco.decode(rle).astype(bool)


def area(rle: Rle) -> int:
    """Number of pixels of the mask."""
    return int(coco.area(rle))


def bbox(rle: Rle) -> list[int]:
    """Box [x, y, width, height] in pixels that holds the mask; all zero for an empty mask.

    pycocotools' convention: a one-pixel mask has width and height 1. (segment-anything reports one less.)
    """
    return [int(v) for v in coco.toBbox(rle)]


def areas(rles: Sequence[Rle]) -> list[int]:
    """Number of pixels of each mask. One by one: pycocotools 2.0.11 fails on more than 255 together."""
    return [area(mask) for mask in rles]


def bboxes(rles: Sequence[Rle]) -> list[list[int]]:
    """Box of each mask, as `bbox` gives it."""
    return [[int(v) for v in box] for box in coco.toBbox(list(rles))] if rles else []


def union(rles: Sequence[Rle], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels [height, width] that lie in any of the masks; none for an empty sequence."""
    if not rles:
        return np.zeros((height, width), dtype=bool)
    return coco.decode(coco.merge(list(rles))).astype(bool)


def from_runs(counts: Iterable[int], height: int, width: int) -> Rle:
    """Compress uncompressed counts: alternating runs of zeros and ones, zeros first."""
    return _text(coco.frPyObjects({"size": [height, width], "counts": list(map(int, counts))}, height, width))


def counts(rle: Rle) -> NDArray[np.int64]:
    """Uncompressed counts: alternating runs of zeros and ones, zeros first.

    The inverse of pycocotools' rleToString: five bits a character, lowest first, 32 for "more to come", two's
    complement; from the fourth run on the difference to the run before the last.
    """
    values, _ = _numbers(np.frombuffer(rle["counts"].encode("ascii"), dtype=np.uint8).astype(np.int64) - 48)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _numbers(characters: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The signed numbers that characters (0 to 63) stand for, and how many characters each has."""
    last = np.flatnonzero((characters & 32) == 0)
    if not len(last):
        return last, last
    first = np.concatenate([[0], last[:-1] + 1])
    digits = last - first + 1
    characters = characters[: last[-1] + 1]
    place = np.arange(len(characters)) - np.repeat(first, digits)
    values = np.add.reduceat((characters & 31) << (5 * place), first)
    return values - ((characters[last] & 16) << (5 * digits - 4)), digits


def check(rles: Sequence[Any], height: int, width: int) -> None:
    """Check that native code can decode each to a mask of height x width: pycocotools itself checks nothing, and reads
    or writes past the end, or never ends.

    One pass over the characters of all of them, so many at a time that memory stays small. Raises ValueError, which
    names the first that is wrong by its place.
    """
    for i, mask in enumerate(rles):
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            raise ValueError(f"mask {i} is no RLE with compressed counts")
        size = mask.get("size")
        if not isinstance(size, list | tuple) or [type(n) for n in size] != [int, int]:
            raise ValueError(f"mask {i} has no size of two integers")
        if tuple(size) != (height, width):
            raise ValueError(f"mask {i} is of {size[0]} x {size[1]} pixels, its image of {height} x {width}")
        if not mask["counts"].isascii() or not mask["counts"]:
            raise ValueError(f"the counts of mask {i} are {'empty' if not mask['counts'] else 'not ASCII'}")
    number = 0
    for part in _parts(rles, CHECKED_AT_ONCE):
        _check_counts([mask["counts"] for mask in part], height, width, number)
        number += len(part)


def _check_counts(counts: Sequence[str], height: int, width: int, number: int) -> None:
    """Check counts that are ASCII and not empty; the first is that of mask `number`."""

    def refuse(wrong: NDArray[np.integer], what: str) -> None:
        if len(wrong):
            raise ValueError(f"the counts of mask {number + int(wrong[0])} have {what}")

    characters = np.frombuffer("".join(counts).encode("ascii"), np.uint8).astype(np.int64) - 48
    ends = np.cumsum([len(text) for text in counts])
    foreign = np.flatnonzero((characters < 0) | (characters > 63))
    refuse(np.searchsorted(ends, foreign, "right"), "a wrong character")
    refuse(np.flatnonzero(characters[ends - 1] & 32), "an unfinished number")
    values, digits = _numbers(characters)
    after = np.searchsorted(np.cumsum(digits), ends, "right")  # of each mask, the number after its last
    mask_of = np.repeat(np.arange(len(counts)), np.diff(after, prepend=0))
    refuse(mask_of[digits > MAX_DIGITS], "a number that is too long")
    first = np.r_[0, after[:-1]]
    _add_differences(values, np.arange(len(values)) - first[mask_of])
    refuse(mask_of[values < 0], "a run of negative length")
    wrong = np.flatnonzero(np.add.reduceat(values, first) != height * width)
    refuse(wrong, f"runs that do not add up to {height} x {width}")


def _add_differences(values: NDArray[np.int64], place: NDArray[np.int64]) -> None:
    """Make lengths of runs of the numbers of several masks; `place` is that of each number within its mask."""
    for start in (1, 2):  # from its fourth run on a mask stores the difference to the run before the last
        chain = np.flatnonzero((place >= start) & ((place - start) % 2 == 0))
        begins = np.flatnonzero(place[chain] == start)
        if len(begins):
            sums = np.cumsum(values[chain])
            before = sums[begins] - values[chain[begins]]
            values[chain] = sums - before[np.cumsum(place[chain] == start) - 1]


def _runs(rles: Sequence[Rle]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of the runs of ones of several masks in order: the mask, and first pixel and pixel after the last of that mask,
    down the columns. One pass over the characters of all; single masks would cost some calls of numpy each."""
    texts = [mask["counts"] for mask in rles]
    values, digits = _numbers(np.frombuffer("".join(texts).encode("ascii"), np.uint8).astype(np.int64) - 48)
    after = np.searchsorted(np.cumsum(digits), np.cumsum([len(text) for text in texts]), "right")
    mask_of = np.repeat(np.arange(len(texts)), np.diff(after, prepend=0))
    first = np.concatenate([[0], after[:-1]])
    place = np.arange(len(values)) - first[mask_of]
    _add_differences(values, place)
    sums = np.concatenate([[0], np.cumsum(values)])
    ones = np.flatnonzero((place % 2 == 1) & (values > 0))
    owner = mask_of[ones]
    before = sums[first][owner]
    return owner, sums[ones] - before, sums[ones + 1] - before


def _parts(rles: Sequence[Rle], at_once: int) -> Iterator[Sequence[Rle]]:
    """The masks, so many at a time that they have `at_once` characters of counts, and arrays about them stay small."""
    start = characters = 0
    for stop, mask in enumerate(rles, 1):
        characters += len(mask["counts"])
        if characters >= at_once:
            yield rles[start:stop]
            start, characters = stop, 0
    if start < len(rles):
        yield rles[start:]


def _runs_of_all(rles: Sequence[Rle]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What `_runs` gives, of any number of masks."""
    first, parts = 0, []
    for part in _parts(rles, DECODED_AT_ONCE):
        owner, starts, stops = _runs(part)
        parts.append((owner + first, starts, stops))
        first += len(part)
    owner, starts, stops = (np.concatenate(column) for column in zip(*parts, strict=True))
    return owner, starts, stops


def each_spans(rles: Sequence[Rle]) -> Iterator[Spans]:
    """Vertical spans of each mask: column x, first row, row after the last, one entry per span, in order.

    Runs that go on from the foot of a column to the head of the next are split, so each span lies in one column.
    """
    for part in _parts(rles, DECODED_AT_ONCE):
        owner, starts, stops = _runs(part)
        heights = np.array([max(mask["size"][0], 1) for mask in part])[owner]
        first, last = starts // heights, (stops - 1) // heights
        repeats = last - first + 1
        run = np.repeat(np.arange(len(starts)), repeats)
        height = heights[run]
        x = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        top = np.where(x == first[run], starts[run] - x * height, 0)
        bottom = np.where(x == last[run], stops[run] - x * height, height)
        ends = np.searchsorted(owner[run], np.arange(len(part) + 1)).tolist()
        for begin, end in pairwise(ends):
            yield x[begin:end], top[begin:end], bottom[begin:end]


def spans(rle: Rle) -> Spans:
    """The vertical spans of one mask (see `each_spans`)."""
    return next(each_spans([rle]))


def points_inside(rles: Sequence[Rle]) -> list[list[float]]:
    """[x, y] of the middle pixel of each mask's longest vertical span: inside the mask whatever its shape."""
    points = []
    for x, top, bottom in each_spans(rles):
        longest = int(np.argmax(bottom - top))
        points.append([float(x[longest]), float((top[longest] + bottom[longest] - 1) // 2)])
    return points


def from_label_map(labels: NDArray[np.integer]) -> dict[int, Rle]:
    """Encode every label >= 0 of a label map [H, W], in ascending order of label; negative pixels belong to none.

    One pass over the pixels whatever the number of labels.
    """
    height, width = labels.shape
    flat = labels.ravel(order="F")
    if flat.size == 0:
        return {}
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    stops = np.r_[starts[1:], flat.size]
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    found, begin = np.unique(values[order], return_index=True)
    out: dict[int, Rle] = {}
    for label, runs in zip(found, np.split(order, begin[1:]), strict=True):
        if label < 0:
            continue
        edges = np.empty(2 * len(runs) + 2, dtype=np.int64)
        edges[0], edges[-1] = 0, flat.size
        edges[1:-1:2], edges[2:-1:2] = starts[runs], stops[runs]
        counts = np.diff(edges)
        out[int(label)] = from_runs(counts[:-1] if counts[-1] == 0 else counts, height, width)
    return out


def to_label_map(masks: Sequence[Rle], values: Sequence[int], height: int, width: int) -> NDArray[np.unsignedinteger]:
    """Paint value i on mask i, [height, width]; 0 elsewhere. The smallest mask that holds a pixel wins.

    16 bits where they hold all values, else 32.

    Of masks of equal area the earlier one wins, so the map does not depend on anything but the records.
    """
    dtype: type[np.unsignedinteger] = np.uint16 if max(values, default=0) <= 0xFFFF else np.uint32
    flat: NDArray[np.unsignedinteger] = np.zeros(height * width, dtype)
    if not len(masks):
        return flat.reshape(height, width)
    owner, starts, stops = _runs_of_all(masks)
    areas = np.bincount(owner, stops - starts, minlength=len(masks))
    rank = np.empty(len(masks), np.int64)
    rank[np.lexsort((-np.arange(len(masks)), -areas))] = np.arange(len(masks))
    order = np.argsort(rank[owner], kind="stable")
    starts, stops, painted = starts[order], stops[order], np.asarray(values)[owner[order]]
    lengths = stops - starts
    pixels = int(lengths.sum())
    if pixels <= min(SHORT_RUN * len(lengths), 1 << 20):
        ends = np.cumsum(lengths)
        flat[np.arange(pixels) + np.repeat(stops - ends, lengths)] = np.repeat(painted, lengths)  # the last one stays
    else:
        for start, stop, value in zip(starts.tolist(), stops.tolist(), painted.tolist(), strict=True):
            flat[start:stop] = value
    return np.ascontiguousarray(flat.reshape(width, height).T)
