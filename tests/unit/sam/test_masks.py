"""Full-size masks, cleanup, nesting and export, against plain numpy."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from segment_anything.utils.amg import remove_small_regions

from regionflow.exports.amg import METADATA, export_amg
from regionflow.formats import rle
from regionflow.formats.nesting import coverage, parents
from regionflow.sam import masks
from regionflow.sam.cleanup import remove_small_parts, suppress_duplicates
from regionflow.sam.masks import FullMask, FullSize, Thresholds
from regionflow.sam.options import AmgOptions

CPU = torch.device("cpu")


def smooth(seed: int, size: tuple[int, int], shift: float = 0.0) -> torch.Tensor:
    noise = torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(seed)) * 4 + shift
    return F.interpolate(noise, size, mode="bicubic")[0]


def plainly(logits: torch.Tensor, model: int, cut: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    large = F.interpolate(logits[None], (model, model), mode="bilinear")[..., : cut[0], : cut[1]]
    return F.interpolate(large, size, mode="bilinear")[0]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shift=st.sampled_from([-8.0, -3.0, 0.0, 4.0]),
    cut=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 300)),
    margin=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_full_size_masks_are_those_of_interpolation(seed, shift, cut, size, margin) -> None:
    origin, extra = margin[:2], margin[2:]
    logits = smooth(seed, (16, 16), shift)
    expected = plainly(logits, 64, cut, size)[0]
    found = FullSize((16, 16), 64, cut, size, CPU).masks(logits, Thresholds(0.0, 1.0, 0.0))[0]
    assert found is not None
    height, width = size[0] + origin[1] + extra[1], size[1] + origin[0] + extra[0]
    mask = rle.decode(found.encode(size[0], origin, (height, width)))
    inside = mask[origin[1] : origin[1] + size[0], origin[0] : origin[0] + size[1]]
    assert mask.sum() == inside.sum()
    assert expected.abs().numpy()[inside != (expected > 0).numpy()].max(initial=0) < 1e-4
    whole = rle.encode(mask)
    assert found.encode(size[0], origin, (height, width)) == whole
    x, y, w, h = rle.bbox(whole)
    box = (x - origin[0], y - origin[1], x - origin[0] + w - 1, y - origin[1] + h - 1) if w else (0, 0, 0, 0)
    assert found.box == box
    low, high = int((expected > -1).sum()), int((expected > 1).sum())
    assert found.stability == pytest.approx(high / low if low else 0.0, abs=2 / max(low, 1))


def test_chunks_of_masks_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several masks over the whole image give what each gives alone."""
    logits = torch.cat([smooth(seed, (16, 16), -2.0) for seed in range(5)])
    full = FullSize((16, 16), 64, (64, 50), (80, 60), CPU)
    alone = full.masks(logits, Thresholds(0.0, 1.0, 0.3))
    together = full._on_gpu(logits, Thresholds(0.0, 1.0, 0.3))
    assert [m is None for m in alone] == [m is None for m in together]
    for a, b in zip(alone, together, strict=True):
        if a is not None and b is not None:
            assert a.encode(80, (0, 0), (80, 60)) == b.encode(80, (0, 0), (80, 60))
            assert (a.box, a.stability) == (b.box, b.stability)


@pytest.mark.parametrize(("elements", "together"), [(1, 1), (2 * 80 * 60, 2), (2 * 80 * 60 + 80, 2), (1 << 26, 5)])
def test_a_card_holds_no_more_full_size_logits_than_allowed(
    monkeypatch: pytest.MonkeyPatch, elements: int, together: int
) -> None:
    logits = torch.cat([smooth(seed, (16, 16), -2.0) for seed in range(5)])
    full, limits = FullSize((16, 16), 64, (64, 50), (80, 60), CPU), Thresholds(0.0, 1.0, 0.0)
    expected = [(m.box, m.stability, m.area) for m in full.masks(logits, limits) if m is not None]
    enlarged, stack = [], torch.stack
    monkeypatch.setattr(masks, "GPU_ELEMENTS", elements)
    monkeypatch.setattr(torch, "stack", lambda parts: enlarged.append(len(parts[0])) or stack(parts))
    found = full._on_gpu(logits, limits)
    assert [(m.box, m.stability, m.area) for m in found if m is not None] == expected
    assert enlarged == [min(together, 5 - first) for first in range(0, 5, together)]


@pytest.mark.parametrize(
    ("free", "pixels", "together"), [(8 * 3 * 4800, 1 << 30, 3), (0, 1 << 30, 1), (1 << 40, 4 * 4800, 4)]
)
def test_a_card_holds_as_many_masks_as_an_eighth_of_its_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, pixels: int, together: int
) -> None:
    monkeypatch.setattr(masks, "free_bytes", lambda device: free)
    monkeypatch.setattr(masks, "GPU_PIXELS", pixels)
    monkeypatch.setattr(FullSize, "_on_gpu", lambda self, some, thresholds: [len(some)] * len(some))
    full = FullSize((16, 16), 64, (64, 50), (80, 60), CPU)
    full.device = SimpleNamespace(type="pretended")  # type: ignore[assignment]
    sizes = [min(together, 5 - first) for first in range(0, 5, together)]
    assert full.masks(torch.zeros(5, 16, 16), Thresholds(0.0, 1.0, 0.0)) == [n for n in sizes for _ in range(n)]


def test_a_mask_whose_score_is_the_threshold_stays() -> None:
    full = FullSize((16, 16), 64, (64, 50), (80, 60), CPU)
    (mask,) = full.masks(torch.full((1, 16, 16), 5.0), Thresholds(0.0, 1.0, 1.0))
    assert mask is not None and (mask.stability, mask.area) == (1.0, 80 * 60)
    assert full.masks(torch.full((1, 16, 16), 5.0), Thresholds(0.0, 1.0, 1.01)) == [None]


def plain_edges(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Spans down the columns, as flat column-major ranges; each lies in one column."""
    spans = []
    for x, column in enumerate(mask.T):
        inside = np.flatnonzero(np.diff(np.r_[False, column, False].astype(int)))
        spans.append(inside + x * len(mask))
    return np.concatenate(spans)


@given(hnp.arrays(np.bool_, (5, 4)), st.tuples(*[st.integers(0, 2)] * 4))
def test_a_mask_of_a_crop_is_encoded_where_the_crop_lies(
    mask: NDArray[np.bool_], margin: tuple[int, int, int, int]
) -> None:
    left, top, right, below = margin
    whole = np.pad(mask, ((top, below), (left, right)))
    full = FullMask(plain_edges(mask), (0, 0, 0, 0), 1.0)
    assert full.encode(5, (left, top), whole.shape) == rle.encode(whole)
    assert full.area == mask.sum()
    assert (full.holds(np.arange(20)) == mask.T.ravel()).all()


def test_no_more_than_a_block_of_full_size_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of 36000 x 60000 pixels, more than 2**31, are thresholded in blocks and never exist at once."""
    seen = []
    count = masks._count

    def spy(x: NDArray[np.float32], level: float) -> NDArray[np.int64]:
        seen.append(x.size)
        return count(x, level)

    monkeypatch.setattr(masks, "_count", spy)
    logits = torch.full((1, 16, 16), -5.0)
    logits[0, 3:5, 7] = 5.0
    size = (36_000, 60_000)
    found = FullSize((16, 16), 64, (39, 64), size, CPU).masks(logits, Thresholds(0.0, 1.0, 0.1))[0]
    assert found is not None
    assert max(seen) <= masks.CPU_BLOCK * size[0]
    assert sum(seen) < 2 * 0.1 * size[0] * size[1]  # twice, for two thresholds, and only around the mask
    mask = found.encode(size[0], (0, 0), size)
    assert rle.area(mask) > 2**23
    assert rle.bbox(mask)[2] * rle.bbox(mask)[3] < 0.05 * size[0] * size[1]


def disc(cx: int, cy: int, r: int, size: int = 60) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    return (x - cx) ** 2 + (y - cy) ** 2 <= r**2


def test_small_parts_go_and_unchanged_masks_win() -> None:
    whole = disc(30, 30, 20)
    holed = whole.copy()
    holed[30, 30] = False
    island = disc(10, 10, 5)
    island[50, 50] = True
    cleaned, kept = remove_small_parts([rle.encode(m) for m in (holed, whole, island)], 10, 0.7)
    assert kept.tolist() == [1, 2]
    assert cleaned[0] == rle.encode(whole)
    assert (rle.decode(cleaned[2]) == disc(10, 10, 5)).all()


@settings(max_examples=200, deadline=None)
@example(size=(12, 11), box=(1.0, 0.5, 0.375, 0.0), share=0.2, least=3, seed=540)  # two islands of one size
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    box=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    share=st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    least=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_small_parts_are_those_of_the_whole_image(size, box, share: float, least: int, seed: int) -> None:
    (height, width), mask = size, np.zeros(size, bool)
    top, bottom = sorted(int(v * height) for v in box[:2])
    left, right = sorted(int(v * width) for v in box[2:])
    rng = np.random.default_rng(seed)
    part = mask[top : bottom + 1, left : right + 1]
    part[:] = rng.random(part.shape) < share
    cleaned, _ = remove_small_parts([rle.encode(mask)], least, 0.7)
    expected, _ = remove_small_regions(mask, least, "holes")
    expected, _ = remove_small_regions(expected, least, "islands")
    assert (rle.decode(cleaned[0]) == expected).all()


def test_duplicates_by_mask_overlap() -> None:
    ring = disc(30, 30, 20) & ~disc(30, 30, 15)
    rles = [rle.encode(m) for m in (disc(30, 30, 20), disc(30, 30, 19), ring, disc(30, 30, 15), disc(30, 30, 4))]
    assert suppress_duplicates(rles, None, None).tolist() == [0, 1, 2, 3, 4]
    assert suppress_duplicates(rles, 0.8, None).tolist() == [0, 2, 3, 4]
    # The ring and the small disc lie in the first mask too, but are parts of it rather than the same thing again.
    assert suppress_duplicates(rles, None, 0.9).tolist() == [0, 2, 4]


def test_coverage_and_parents() -> None:
    rles = [rle.encode(m) for m in (disc(30, 30, 4), disc(30, 30, 20), disc(30, 30, 10), disc(5, 5, 4), disc(5, 5, 4))]
    assert parents(rles).tolist() == [2, -1, 1, -1, 3]
    union = disc(30, 30, 20) | disc(5, 5, 4)
    assert coverage(rles, 60, 60) == pytest.approx(union.mean())
    assert coverage([], 60, 60) == 0.0
    assert parents([]).tolist() == []


ANNOTATION = {
    "segmentation": rle.encode(disc(5, 6, 2, 20)),
    "area": 13,
    "bbox": [3, 4, 5, 5],
    "predicted_iou": 0.9,
    "stability_score": 0.97,
    "point_coords": [[5.5, 6.5]],
    "crop_box": [0, 0, 20, 20],
}


def test_export_as_png_twice(tmp_path: Path) -> None:
    for annotations in ([ANNOTATION, ANNOTATION], [ANNOTATION]):
        export_amg(annotations, tmp_path / "dog", "png")
    assert sorted(p.name for p in (tmp_path / "dog").iterdir()) == ["0.png", "metadata.csv", "parents.csv"]
    assert (np.asarray(Image.open(tmp_path / "dog" / "0.png")) == disc(5, 6, 2, 20) * 255).all()
    with (tmp_path / "dog" / "metadata.csv").open() as file:
        header, row = csv.reader(file)
    assert tuple(header) == METADATA
    assert row == ["0", "13", "3", "4", "5", "5", "5.5", "6.5", "0.9", "0.97", "0", "0", "20", "20"]


def test_export_as_json(tmp_path: Path) -> None:
    export_amg([ANNOTATION | {"id": 1, "source": "sam"}], tmp_path / "dog.json", "json")
    assert json.loads((tmp_path / "dog.json").read_text()) == [ANNOTATION]


@pytest.mark.parametrize(
    "options",
    [
        {"points_per_sid": 3},
        {"points_per_side": 32.5},
        {"points_per_side": 0},
        {"points_per_side": None},
        {"min_mask_region_area": -1},
        {"crop_overlap_ratio": 1.5},
        {"min_mask_region_area": "100"},
        {"points_per_side": 8, "point_grids": [[[0.5, 0.5]]]},
        {"points_per_side": None, "point_grids": [[[0.5, 0.5]]], "crop_n_layers": 1},
        {"points_per_side": 3, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2},
    ],
)
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises(ValidationError):
        AmgOptions(**options)


def test_a_fraction_of_overlap_is_a_float() -> None:
    assert AmgOptions(crop_overlap_ratio=0.25).crop_overlap_ratio == 0.25
