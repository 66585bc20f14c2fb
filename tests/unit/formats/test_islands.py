"""Islands on disk: what is read is what was written, and a file that is not is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.checked import write_checked_json
from regionflow.formats.islands import Islands, label_maps, level_names, read_islands, write_islands
from regionflow.formats.parts import EMPTY, PartMasks


def drawn(iterations: int = 2, grid: int = 3, levels: int = 3) -> Islands:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (iterations + 1, grid**2, levels, 3), np.uint8)
    agreement = rng.random((iterations, levels)).round(6)
    agreement[0, 0] = np.nan
    return Islands(colours[0], colours[1:], agreement)


def test_islands_come_back_as_they_were(tmp_path: Path) -> None:
    made = drawn()
    write_islands(tmp_path / "a.json", "folder/a", made)
    read = read_islands(tmp_path / "a.json", "folder/a")
    for name in ("teacher", "colours", "agreement"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    np.testing.assert_array_equal(read.last_agreement, made.agreement[-1])
    assert json.loads((tmp_path / "a.json").read_text())["iterations"][0]["agreement"][0] is None
    with pytest.raises(BadFile, match=r"a[.]json"):
        read_islands(tmp_path / "a.json", "folder/b")


def test_an_image_that_could_not_be_read_has_none_and_says_why(tmp_path: Path) -> None:
    write_islands(tmp_path / "a.json", "a", Islands.none("truncated"))
    read = read_islands(tmp_path / "a.json", "a")
    assert (read.error, len(read.colours), len(read.last_agreement)) == ("truncated", 0, 0)


@pytest.mark.parametrize("key", ["grid", "levels", "teacher", "iterations"])
def test_a_file_that_does_not_fit_itself_is_refused(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.json"
    write_islands(path, "a", drawn())
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    for value in ([1], 7, "####"):
        write_checked_json(path, content | {key: value})
        with pytest.raises(BadFile, match="a file of islands"):
            read_islands(path)


def test_label_maps_draw_small_masks_over_large_ones() -> None:
    whole, half = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    half[:2] = True
    scores = np.ones((2, 2))
    masks = [rle.encode(mask) for mask in (whole, half)]
    maps = label_maps(PartMasks(4, masks, np.array([[1, 0], [0, EMPTY]]), scores, scores, "sam"))
    assert (maps[0][:2] == 1).all()
    assert (maps[0][2:] == 0).all()
    assert (maps[1] == 0).all()


def test_three_levels_have_names() -> None:
    assert list(level_names(3)) == ["subpart", "part", "whole"]
    assert list(level_names(2)) == ["level 0", "level 1"]
