"""Work that is begun now and whose result is wanted later, by another thread or at once."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")
Later = Callable[[], T]
"""Waits until the work is done and gives its result, or raises what the work raised."""


class Beside(Protocol):
    """Begins with work of the host, so that whoever has it done can go on with a card's work meanwhile."""

    def __call__(self, work: Callable[[], T], /) -> Later[T]:
        """Begin; work that is begun later may wait for this one, never the other way round."""
        ...


OnCard = Callable[[Beside], Later[T]]
"""What is left of the card's work on one image: done by the call, which gives work of the host to its argument."""


def at_once(work: Callable[[], T]) -> Later[T]:
    """Not beside anything: the work is done when this returns."""
    result = work()
    return lambda: result
