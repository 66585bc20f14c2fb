"""How long and with how much memory an allocation is asked for: from its images and what an image takes."""

import math
from collections.abc import Callable, Collection, Iterable

from regionflow.formats.records import Record, recent_records, seconds_per_job
from regionflow.run.needs import COPIES_OF_WEIGHTS, NEEDS, PER_IMAGE, WHOLE_SET, Need, memory, minutes

START_MINUTES = 10.0
"""For starting, planning and loading models."""
MARGIN = 1.5
MIB_OF_SNAKEMAKE = 1000


def minutes_of_shard(
    images: int,
    seconds: tuple[float, float],
    *,
    cores: int,
    cards: int,
    attempt: int,
) -> int:
    """Minutes to ask for.

    Args:
        images: in the shard.
        seconds: of one image in one slot: on the processor, and on a card.
        cores, cards: of the allocation; without cards models run on the cores.
        attempt: 1 at first; one that ran out of time is asked for with more.
    """
    on_cores, on_card = seconds
    busy = max(on_cores / cores, on_card / cards) if cards else (on_cores + on_card) / cores
    return math.ceil(attempt * (START_MINUTES + MARGIN * images * busy / 60))


def memory_of_shard(
    stages: Collection[str],
    *,
    megapixels: float,
    weights: float,
    cores: int,
    cards: int,
    attempt: int,
) -> int:
    """MiB to ask for: of the jobs that run side by side, and of Snakemake.

    Args:
        stages: whose jobs run.
        megapixels: of the largest image.
        weights: MiB of the largest weight file.
        cores, cards, attempt: as for `minutes_of_shard`; with cards so many jobs of models run side by side.
    """

    def largest(among: Iterable[str]) -> int:
        needs = [NEEDS.get(stage, PER_IMAGE) for stage in among]
        return max(
            (memory(need, megapixels=megapixels, images=0, weights=None, attempt=1) for need in needs), default=0
        )

    of_models = [stage for stage in stages if stage in NEEDS]
    others = [stage for stage in stages if stage not in NEEDS]
    with_weights = largest(of_models) + COPIES_OF_WEIGHTS * weights if of_models else 0
    side_by_side = (
        cards * with_weights + cores * largest(others) if cards else cores * max(with_weights, largest(others))
    )
    return math.ceil(attempt * (MIB_OF_SNAKEMAKE + side_by_side))


def needs_of_set(stages: Iterable[str], *, images: int, attempt: int) -> tuple[int, int]:
    """MiB and minutes of the jobs of these stages on the whole set of so many images, one after another."""
    needs: list[Need] = [NEEDS.get(stage, WHOLE_SET) for stage in stages]
    mib = max(memory(need, megapixels=0, images=images, weights=None, attempt=attempt) for need in needs)
    return mib + attempt * MIB_OF_SNAKEMAKE, sum(
        minutes(need, megapixels=0, images=images, attempt=attempt) for need in needs
    )


def seconds_per_image(
    stages: Iterable[str], assumed: float, records: Callable[[str], list[Record]] = recent_records
) -> tuple[float, float]:
    """Seconds of one image on the processor and on a card, as the stages took them lately.

    assumed: for stages that have not run yet, all together; taken to be on a card.
    """
    known = {stage: records(stage) for stage in stages}
    new = sum(not found for found in known.values())
    on_cores = on_card = 0.0
    for found in known.values():
        seconds = seconds_per_job(found)
        if seconds is None:
            on_card += assumed / new
        elif found[-1].slot.startswith("gpu"):
            on_card += seconds
        else:
            on_cores += seconds
    return on_cores, on_card
