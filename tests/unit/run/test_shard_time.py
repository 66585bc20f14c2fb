"""The time of an allocation follows from images, slots and what an image took."""

import pytest

from regionflow.formats.records import Record
from regionflow.run.shard_time import minutes_of_shard, seconds_per_image


def record(stage: str, seconds: float, slot: str) -> Record:
    return Record(stage, {"image": "a"}, seconds + 7, seconds, 7.0, 100.0, 0.0, slot, 1, 1, 0.0)


RECORDS = {
    "masks": [record("masks", 3.0, "gpu-0"), record("masks", 5.0, "gpu-1")],
    "slic": [record("slic", 1, "cpu-0")],
}


def test_seconds_are_those_of_the_records_without_loading_models() -> None:
    assert seconds_per_image(["masks", "slic"], 9.0, lambda stage: RECORDS[stage]) == pytest.approx((1.0, 4.0))


def test_what_has_not_run_yet_is_assumed() -> None:
    assert seconds_per_image(["a", "b"], 6.0, lambda stage: []) == pytest.approx((0.0, 6.0))
    known = seconds_per_image(["masks", "new"], 6.0, lambda stage: RECORDS.get(stage, []))
    assert known == pytest.approx((0.0, 10.0))


@pytest.mark.parametrize(
    ("seconds", "cores", "cards", "attempt", "minutes"),
    [
        ((0.0, 4.0), 16, 1, 1, 10 + 100),
        ((0.0, 4.0), 16, 4, 1, 10 + 25),
        ((16.0, 1.0), 16, 1, 1, 10 + 25),
        ((12.0, 4.0), 16, 0, 1, 10 + 25),
        ((0.0, 4.0), 16, 1, 2, 220),
    ],
)
def test_the_slower_of_cores_and_cards_counts(
    seconds: tuple[float, float], cores: int, cards: int, attempt: int, minutes: int
) -> None:
    asked = minutes_of_shard(1000, seconds, cores=cores, cards=cards, attempt=attempt)
    assert asked == pytest.approx(minutes, abs=1)
