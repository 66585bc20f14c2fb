"""Run lengths from outside: what native code would hang, crash or read past the end on is refused before it sees it."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.signed import change_json
from helpers.small_results import MADE_BY
from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.regions import ImageInfo, annotation, read_regions, write_regions

HEIGHT, WIDTH = 60, 80
MASKS = hnp.arrays(np.bool_, (5, 7))


def blob(seed: int) -> np.ndarray:
    """A mask with many runs."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH))
    return (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) > 1.5


def numbers(*values: int) -> str:
    """A counts string of raw numbers, as rleToString writes them."""
    text = ""
    for number in values:
        rest, more = number, True
        while more:
            character, rest = rest & 31, rest >> 5
            more = rest != -1 if character & 16 else rest != 0
            text += chr((character | (32 if more else 0)) + 48)
    return text


@given(st.lists(MASKS, max_size=6))
def test_every_mask_of_ours_passes(masks: list[np.ndarray]) -> None:
    rle.check([rle.encode(mask) for mask in masks], 5, 7)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ("", "empty"),
        ("ä", "not ASCII"),
        ("\0", "a wrong character"),
        ("p0", "a wrong character"),
        ("/0", "a wrong character"),
        ("o", "an unfinished number"),
        ("ooooooooooooooooooooo0", "a number that is too long"),
        (numbers(12), "do not add up to 3 x 5"),
        (numbers(5, 5, 6), "do not add up to 3 x 5"),
        (numbers(20, -5), "a run of negative length"),
        (numbers(0, 4, 4, 4, 3, -9, 9), "a run of negative length"),
        (numbers(2**33, 15 - 2**33), "a run of negative length"),
        (numbers(0, 2**32 - 1), "do not add up"),
    ],
)
def test_impossible_counts_are_named(counts: str, said: str) -> None:
    good = rle.encode(np.ones((3, 5), bool))
    with pytest.raises(ValueError, match=f"mask 1.*{said}"):
        rle.check([good, {"size": [3, 5], "counts": counts}, good], 3, 5)


@pytest.mark.parametrize("mask", [None, "x", {}, {"counts": "0"}, {"size": [3, 5], "counts": [15]}])
def test_what_is_no_rle_at_all_is_named(mask: object) -> None:
    with pytest.raises(ValueError, match="mask 0"):
        rle.check([mask], 3, 5)


@pytest.mark.parametrize("size", [[3], [3, 5, 1], ["3", 5], [3.0, 5], [-3, -5], [5, 3], None])
def test_a_wrong_size_is_named(size: object) -> None:
    with pytest.raises(ValueError, match="mask 0"):
        rle.check([{"size": size, "counts": numbers(15)}], 3, 5)


def mutated(counts: str, rng: random.Random) -> str:
    """Counts with one to three characters changed, lost, doubled or put in."""
    text = list(counts)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text)) if text else 0
        kind = rng.randrange(4)
        if kind == 0 and text:
            text[at] = chr(ord(text[at]) ^ (1 << rng.randrange(7)))
        elif kind == 1 and text:
            del text[at : at + rng.choice([1, 1, 5])]
        elif kind == 2:
            text.insert(at, chr(rng.randrange(128)))
        else:
            text[at:at] = text[at : at + rng.choice([1, 5, 40])]
    return "".join(text)


def mutations_are_named_or_are_what_they_say(folder: Path, count: int, seed: int) -> None:
    """In files with a right checksum, so that nothing but the check of the records stands before native code."""
    path, rng = folder / "a.json", random.Random(seed)
    masks = [blob(i) for i in range(6)]
    info = ImageInfo("a", "a.png", HEIGHT, WIDTH)
    refused = 0
    for _ in range(count):
        write_regions(path, info, [annotation(rle.encode(mask), "sam") for mask in masks], MADE_BY)
        number = rng.randrange(len(masks))
        before = rle.encode(masks[number])["counts"]
        after = mutated(before, rng)
        change_json(path, lambda c: c["annotations"][number]["segmentation"].update(counts=after))  # noqa: B023
        try:
            record = read_regions(path).annotations[number]
        except BadFile as error:
            assert str(path) in str(error)
            assert f"mask {number}" in str(error) or f"record {number}" in str(error)
            refused += 1
        else:
            mask = rle.decode(record["segmentation"])
            assert mask.shape == (HEIGHT, WIDTH)
            assert mask.sum() == record["area"]
    assert refused > 0.9 * count


def test_mutated_masks_are_named(tmp_path: Path) -> None:
    mutations_are_named_or_are_what_they_say(tmp_path, 60, seed=0)


@pytest.mark.slow
def test_many_mutated_masks_are_named(tmp_path: Path) -> None:
    mutations_are_named_or_are_what_they_say(tmp_path, 2000, seed=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"area": 3}, "area and box of record 1"),
        ({"bbox": [0, 0, 1, 1]}, "area and box of record 1"),
        ({"bbox": None}, "NoneType"),
        ({"id": 7}, "record 1 is called"),
        ({"region_id": "b_region_1"}, "record 1 is called 'b_region_1'"),
        ({"source": None}, "the source of record 1"),
    ],
)
def test_a_record_that_does_not_fit_its_mask_is_named(tmp_path: Path, change: dict, said: str) -> None:
    path = tmp_path / "a.json"
    records = [annotation(rle.encode(blob(i)), "sam") for i in range(3)]
    write_regions(path, ImageInfo("a", "a.png", HEIGHT, WIDTH), records, MADE_BY)
    change_json(path, lambda content: content["annotations"][1].update(change))
    with pytest.raises(BadFile, match=said) as error:
        read_regions(path)
    assert str(path) in str(error.value)


def test_masks_are_numbered_across_the_parts_of_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rle, "CHECKED_AT_ONCE", 300)
    masks = [rle.encode(blob(i)) for i in range(20)]
    rle.check(masks, HEIGHT, WIDTH)
    for number in (0, 1, 7, 19):
        wrong = [*masks]
        wrong[number] = {**masks[number], "counts": masks[number]["counts"][:-1]}
        with pytest.raises(ValueError, match=f"mask {number} "):
            rle.check(wrong, HEIGHT, WIDTH)


def test_a_file_of_more_than_255_masks_is_read(tmp_path: Path) -> None:
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 8
    records = [annotation(mask, "slic") for mask in rle.from_label_map(labels).values()]
    write_regions(tmp_path / "a.json", ImageInfo("a", "a.png", HEIGHT, WIDTH), records, MADE_BY)
    assert len(read_regions(tmp_path / "a.json").annotations) == len(records) == 600
