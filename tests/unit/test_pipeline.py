"""Reading, a card's work, and the host's at once: order, bounds, and what a failure ends."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from regionflow.base import pipeline
from regionflow.base.pipeline import READERS, Steps, run


class Card:
    """A pretended card: what was begun with, and the ends in their order."""

    def __init__(self, size: int = 1) -> None:
        self.batches: list[list[int]] = []
        self.ended: list[Any] = []
        self.unfinished = 0
        self.most_unfinished = 0
        self.size = size
        self.lock = threading.Lock()

    def steps(self, read: Callable[[int], int | None] = lambda item: item) -> Steps[int, int, str]:
        """Steps that note what they do."""

        def counted(item: int) -> int | None:
            with self.lock:
                self.unfinished += 1
                self.most_unfinished = max(self.most_unfinished, self.unfinished)
            return read(item)

        def begin(some: Sequence[int]) -> list:
            self.batches.append(list(some))
            return [(item, lambda beside, item=item: beside(lambda: f"made {item}")) for item in some]

        def end(item: int, later: Callable[[], str]) -> None:
            self.ended.append((item, later()))
            with self.lock:
                self.unfinished -= 1

        return Steps(counted, lambda item: self.size, begin, end)


def test_every_item_is_ended_in_order() -> None:
    card = Card()
    run(card.steps(), range(50), 4)
    assert card.ended == [(i, f"made {i}") for i in range(50)]
    assert [item for batch in card.batches for item in batch] == list(range(50))
    assert max(map(len, card.batches)) <= 4


def test_nothing_to_do() -> None:
    card = Card()
    run(card.steps(), [], 4)
    assert not card.batches and not card.ended


def test_what_has_been_read_meanwhile_goes_to_the_card_together() -> None:
    """The first item goes alone; while the card works on it all others are read."""
    card, read = Card(), threading.Barrier(2, timeout=60)
    steps = card.steps(lambda item: (read.wait(), item)[1] if item == 7 else item)

    def begin(some: Sequence[int]) -> Any:
        if 0 in some:
            read.wait()  # until the last one is being read, and all before it are
        return steps.begin(some)

    run(Steps(steps.read, steps.size, begin, steps.end), range(8), 8)
    assert len(card.batches) <= 3 and sum(map(len, card.batches)) == 8
    assert max(map(len, card.batches)) >= 4


def test_items_of_which_nothing_is_left_are_left_out() -> None:
    card = Card()
    run(card.steps(lambda item: None if item % 2 else item), range(9), 4)
    assert [item for item, _ in card.ended] == [0, 2, 4, 6, 8]


def test_large_items_are_held_one_at_a_time_and_a_few_more() -> None:
    card = Card(size=pipeline.MOST_BYTES)
    run(card.steps(), range(60), 16)
    assert {len(batch) for batch in card.batches[1:]} == {1}
    # The first were read before it was known how large they are; then one is read, one or two are with the card, and
    # few wait for their end.
    assert card.most_unfinished <= 16 + READERS + pipeline.MOST_WAITING + 2


@pytest.mark.parametrize("where", ["read", "begin", "card", "end"])
def test_what_a_step_raises_ends_everything(where: str) -> None:
    card = Card()
    steps = card.steps()

    def fails(*args: Any) -> Any:
        raise ZeroDivisionError

    changed = {
        "read": Steps(fails, steps.size, steps.begin, steps.end),
        "begin": Steps(steps.read, steps.size, fails, steps.end),
        "card": Steps(steps.read, steps.size, lambda some: [(item, fails) for item in some], steps.end),
        "end": Steps(steps.read, steps.size, steps.begin, fails),
    }[where]
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        run(changed, range(100), 4)
    assert threading.active_count() == before
