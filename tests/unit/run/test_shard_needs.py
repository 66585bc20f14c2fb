"""Time and memory of an allocation follow from images, slots, weights and what an image took."""

import pytest

from regionflow.formats.records import Record
from regionflow.run.needs import MODEL, PER_IMAGE, WHOLE_SET
from regionflow.run.shard_needs import (
    MIB_OF_SNAKEMAKE,
    memory_of_shard,
    minutes_of_shard,
    needs_of_set,
    seconds_per_image,
)


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


def test_memory_is_that_of_the_jobs_side_by_side() -> None:
    ask = {"megapixels": 2.0, "weights": 0.0, "cores": 4, "cards": 1, "attempt": 1}
    small = PER_IMAGE.mib + 2 * PER_IMAGE.mib_per_megapixel
    model = MODEL.mib + 2 * MODEL.mib_per_megapixel
    assert memory_of_shard(["regions", "pooled"], **ask) == MIB_OF_SNAKEMAKE + 4 * small
    assert memory_of_shard(["masks", "regions"], **ask) == MIB_OF_SNAKEMAKE + model + 4 * small
    assert memory_of_shard(["masks", "regions"], **{**ask, "cards": 0}) == MIB_OF_SNAKEMAKE + 4 * model
    assert memory_of_shard(["masks"], **{**ask, "weights": 100.0}) == MIB_OF_SNAKEMAKE + model + 300
    assert memory_of_shard(["masks"], **{**ask, "attempt": 2}) == 2 * memory_of_shard(["masks"], **ask)


def test_the_whole_set_needs_the_memory_of_one_job_and_the_time_of_all() -> None:
    mib, minutes = needs_of_set(["clusters", "pooled_set"], images=1000, attempt=1)
    assert mib == MIB_OF_SNAKEMAKE + WHOLE_SET.mib + 1000 * WHOLE_SET.mib_per_image
    assert minutes == 2 * (WHOLE_SET.minutes + 1000 * WHOLE_SET.minutes_per_image)
    assert needs_of_set(["clusters"], images=1000, attempt=2)[0] == 2 * mib
