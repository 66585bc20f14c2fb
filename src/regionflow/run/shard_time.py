"""How long an allocation for a shard is asked for: from its number of images and what an image takes."""

import math
from collections.abc import Callable, Iterable

from regionflow.formats.records import Record, recent_records, seconds_per_job

START_MINUTES = 10.0
"""For starting, planning and loading models."""
MARGIN = 1.5


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
