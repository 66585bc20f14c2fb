"""What a full-size mask is made of: where pixels change, the box around its spans, its stability score."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from regionflow.formats import rle
from regionflow.sam.masks import FullSize, Thresholds, _box, _changes

CPU = torch.device("cpu")


class OnCard:
    """A tensor on a pretended card: numpy cannot have it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.device, self._tensor = SimpleNamespace(type="pretended"), tensor

    def __getitem__(self, part: slice) -> "OnCard":
        return OnCard(self._tensor[part])

    def __ne__(self, other: object) -> torch.Tensor:  # type: ignore[override]
        assert isinstance(other, OnCard)
        return self._tensor != other._tensor


@given(hnp.arrays(np.bool_, 30))
def test_a_card_finds_the_same_changes(values: NDArray[np.bool_]) -> None:
    flat: Any = torch.from_numpy(np.r_[False, values])
    expected = np.flatnonzero(values != np.r_[False, values[:-1]]).tolist()
    assert _changes(flat).tolist() == _changes(OnCard(flat)).tolist() == expected  # type: ignore[arg-type]


@given(hnp.arrays(np.bool_, (7, 6)))
def test_the_box_is_around_every_span(mask: NDArray[np.bool_]) -> None:
    inside = np.pad(mask, ((0, 1), (0, 0))).T  # a pixel below each column ends its last span
    edges = np.flatnonzero(np.diff(np.r_[False, inside.ravel()].astype(int)))
    columns, rows = np.divmod(edges, 8)
    x, y, width, height = rle.bbox(rle.encode(mask))
    assert _box(columns, rows) == ((x, y, x + width - 1, y + height - 1) if mask.any() else (0, 0, 0, 0))


def test_maps_that_are_not_square() -> None:
    logits = torch.randn(1, 16, 12, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(logits[None], (64, 64), mode="bilinear")[..., :50, :60]
    expected = F.interpolate(large, (40, 70), mode="bilinear")[0, 0].numpy() > 0
    (mask,) = FullSize((16, 12), 64, (50, 60), (40, 70), CPU).masks(logits, Thresholds(0.0, 1.0, 0.0))
    assert mask is not None
    assert (rle.decode(mask.encode(40, (0, 0), (40, 70))) != expected).mean() < 0.001


def test_only_stable_masks_stay() -> None:
    """Logits far from the threshold on both sides, and logits within the offset of the stability score."""
    sharp = torch.where(torch.arange(16) < 8, 9.0, -9.0).expand(16, 16)
    blurred = torch.where(torch.arange(16) < 8, 0.5, -0.5).expand(16, 16)
    full, both = FullSize((16, 16), 64, (64, 64), (64, 64), CPU), torch.stack([sharp, blurred])
    kept = full.masks(both, Thresholds(0.0, 1.0, 0.5))
    assert kept[0] is not None and kept[1] is None
    assert all(mask is not None for mask in full.masks(both, Thresholds(0.0, 1.0, 0.0)))


def test_a_mask_of_one_pixel_has_a_score() -> None:
    full = FullSize((16, 16), 64, (64, 64), (1, 1), CPU)
    (mask,) = full.masks(torch.full((1, 16, 16), 5.0), Thresholds(0.0, 1.0, 0.9))
    assert mask is not None and (mask.stability, mask.area, mask.box) == (1.0, 1, (0, 0, 0, 0))


def test_logits_on_a_level_are_not_above_it() -> None:
    """A map that is not enlarged: 40 pixels above both levels, 60 on the higher, 80 on the lower, 76 below."""
    logits = torch.tensor([2.0] * 40 + [1.0] * 60 + [-1.0] * 80 + [-3.0] * 76).view(1, 16, 16)
    full, thresholds = FullSize((16, 16), 16, (16, 16), (16, 16), CPU), Thresholds(0.0, 1.0, 0.0)
    for (mask,) in (full.masks(logits, thresholds), full._on_gpu(logits, thresholds)):
        assert mask is not None and mask.area == 100
        assert mask.stability == np.float32(0.4)
