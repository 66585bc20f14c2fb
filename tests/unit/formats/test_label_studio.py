"""Label Studio's brush: no pixel is lost, and its own converter gives and takes the same bytes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regionflow.formats import rle
from regionflow.formats.label_studio import from_brush, to_brush

SIDES = st.integers(1, 40)
MASKS = hnp.arrays(np.bool_, st.tuples(SIDES, SIDES))


def stripes(height: int, width: int) -> np.ndarray:
    """Runs along the rows of every length around the steps of the encoding: 2, 4, 64, 16384 pixels and more."""
    mask = np.zeros(height * width, bool)
    edges = np.cumsum([1, 1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384, 16385, 40000])
    for start, stop in list(pairwise(edges))[::2]:
        mask[start:stop] = True
    return mask.reshape(height, width)


@given(MASKS)
def test_round_trip(mask):
    encoded = rle.encode(mask)
    assert from_brush(to_brush(encoded), *mask.shape) == encoded


def test_runs_of_every_size():
    encoded = rle.encode(stripes(300, 400))
    assert from_brush(to_brush(encoded), 300, 400) == encoded


@pytest.fixture(scope="module")
def converter():
    return pytest.importorskip("label_studio_converter.brush", reason="label-studio-converter is not installed")


@given(mask=MASKS)
def test_its_own_converter_gives_and_reads_the_same(converter, mask):
    _same_as(converter, mask)


def test_its_own_converter_splits_long_runs_alike(converter):
    _same_as(converter, stripes(300, 400))


def _same_as(brush, mask):
    ours = to_brush(rle.encode(mask))
    assert ours == brush.mask2rle(mask.astype(np.uint8) * 255)
    assert (brush.decode_rle(ours).reshape(*mask.shape, 4)[..., 3] == 255 * mask).all()


@given(MASKS, st.integers(1, 32), st.lists(st.integers(1, 16), min_size=4, max_size=4), st.booleans())
def test_brushes_as_the_editor_writes_them(mask, word, sizes, literal):
    """Coloured pixels, so that runs end at every value or are written out value by value, in words of any size."""
    pixels = np.zeros((*mask.shape, 4), int)
    pixels[mask] = [1, 0, 1, 1]
    values = pixels.ravel().tolist()
    step = min(1 << sizes[2], len(values)) if literal else 1
    bits = f"{len(values):032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    for start in range(0, len(values), step):
        run = values[start : start + step]
        bits += f"{0 if literal else 1}10{len(run) - 1:0{sizes[2]}b}" + "".join(f"{value:0{word}b}" for value in run)
    bits += "0" * (-len(bits) % 8)
    brush = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert (rle.decode(from_brush(brush, *mask.shape)) == mask).all()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_mask_or_refused(data):
    try:
        mask = from_brush(list(data), 3, 4)
    except ValueError as error:
        assert "brush" in str(error)
    else:
        assert mask["size"] == [3, 4]


def test_what_is_wrong_is_said():
    brush = to_brush(rle.encode(np.eye(6, dtype=bool)))
    with pytest.raises(ValueError, match="the brush is cut off"):
        from_brush(brush[:-3], 6, 6)
    with pytest.raises(ValueError, match="144 values, where the image has 140"):
        from_brush(brush, 5, 7)
    with pytest.raises(ValueError, match="list of bytes"):
        from_brush([*brush, 256], 6, 6)
    with pytest.raises(ValueError, match="goes on after the last pixel"):
        from_brush([0, 0, 0, 4, *to_brush(rle.encode(np.ones((3, 3), bool)))[4:]], 1, 1)
