"""What jobs ask for: more with the size of the image, the number of images, the weights, and every try."""

from pathlib import Path

from regionflow.formats.images import ImageRow, write_images
from regionflow.run.needs import PER_IMAGE, UNKNOWN_MEGAPIXELS, WHOLE_SET, Megapixels, memory, minutes, need_of

ROWS = [ImageRow("a", "a.png", "", 2000, 3000, "", "ok"), ImageRow("b", "b.png", "", 0, 0, "", "unreadable", "damaged")]


def test_memory_grows_with_the_image_its_weights_and_the_try(tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    weights.write_bytes(bytes(10 << 20))
    ask = {"megapixels": 1.0, "images": 0, "weights": None, "attempt": 1}
    small = memory(PER_IMAGE, **ask)
    assert memory(PER_IMAGE, **{**ask, "megapixels": 11.0}) == small + 10 * PER_IMAGE.mib_per_megapixel
    assert memory(PER_IMAGE, **{**ask, "weights": weights}) == small + 30
    assert memory(PER_IMAGE, **{**ask, "attempt": 3}) == 3 * small


def test_time_grows_with_the_image_or_the_set_and_the_try() -> None:
    one = minutes(PER_IMAGE, megapixels=4.0, images=0, attempt=1)
    assert one == 7 and minutes(PER_IMAGE, megapixels=4.0, images=0, attempt=2) == 14
    assert minutes(WHOLE_SET, megapixels=0.0, images=100_000, attempt=1) == 30 + 2000


def test_a_stage_that_is_not_named_has_the_need_of_its_sort() -> None:
    assert need_of("pooled", whole_set=False) is PER_IMAGE and need_of("clusters", whole_set=True) is WHOLE_SET
    assert need_of("masks", whole_set=False).mib > PER_IMAGE.mib


def test_sizes_are_those_of_the_table_where_it_tells_them(tmp_path: Path) -> None:
    table = tmp_path / "images.tsv"
    assert Megapixels(table).of("a") == Megapixels(table).largest() == UNKNOWN_MEGAPIXELS
    write_images(table, ROWS)
    sizes = Megapixels(table)
    assert (sizes.of("a"), sizes.of("new")) == (6.0, UNKNOWN_MEGAPIXELS)
    assert sizes.largest() == 6.0
