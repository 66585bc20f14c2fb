"""What a GPU's memory can take, and how its results come to the host."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from regionflow.base.later import Later

T = TypeVar("T")
R = TypeVar("R")

MOST_TOGETHER = 16
"""Inputs in one forward pass on a card, where its memory takes more: a card has enough to do with these."""
FRACTION = 0.5
"""Of a card's free memory, for one forward pass."""


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that a new tensor can have: free ones, and those that torch's allocator keeps but nothing uses."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def with_room(function: Callable[[], T]) -> T:
    """What the function returns; where a GPU's memory does not suffice, once more with torch's cache emptied.

    Raises torch.OutOfMemoryError if it does not suffice then either.
    """
    try:
        return function()
    except torch.OutOfMemoryError:
        pass  # and go on outside of the handler, which would keep the tensors of the failed attempt
    torch.cuda.empty_cache()
    return function()


class Batches:
    """Sends inputs through a model, on a card as many at a time as its memory takes, on a CPU `on_cpu`.

    The first input goes by itself and shows what one takes. Where the memory does not suffice all the same, half as
    many go together from then on. One by one on a CPU, results are those of single inputs to the bit.
    """

    def __init__(self, device: torch.device | str, most: int = MOST_TOGETHER, *, on_cpu: int = 1) -> None:
        self.device = torch.device(device)
        self._is_card = self.device.type == "cuda"
        self.most = most if self._is_card else on_cpu
        self._bytes_per_element: float | None = None

    def at_once(self, elements: int) -> int:
        """How many inputs of that many numbers go together now; one until it is known what they take."""
        if not self._is_card:
            return self.most
        if self._bytes_per_element is None:
            return 1
        room = FRACTION * free_bytes(self.device)
        return max(1, min(self.most, int(room / max(1.0, self._bytes_per_element * elements))))

    def results(self, inputs: Sequence[T], forward: Callable[[Sequence[T]], Sequence[R]], elements: int) -> Iterator[R]:
        """What `forward` makes of some inputs of that many numbers each, one result per input, in their order.

        Raises torch.OutOfMemoryError if the memory does not suffice for a single one.
        """
        start = 0
        while start < len(inputs):
            some = inputs[start : start + self.at_once(elements)]
            try:
                made = self._measured(some, forward, elements)
            except torch.OutOfMemoryError:
                if len(some) == 1:
                    raise
                self.most = len(some) // 2
                continue
            yield from made
            start += len(some)

    def _measured(self, some: Sequence[T], forward: Callable[[Sequence[T]], Sequence[R]], elements: int) -> Sequence[R]:
        if not self._is_card or self._bytes_per_element is not None:
            return with_room(lambda: forward(some))
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        made = with_room(lambda: forward(some))
        taken = torch.cuda.max_memory_allocated(self.device) - before
        self._bytes_per_element = taken / len(some) / elements
        return made


def to_host(tensor: Tensor) -> Later[Tensor]:
    """Begin to copy a tensor to the host; the copy is there when the result returns it.

    It waits for what the card was given before this, and not for what it was given since.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu
    copied = tensor.to("cpu", non_blocking=True)  # into memory that torch pins for it
    done = torch.cuda.Event()
    done.record()

    def wait() -> Tensor:
        done.synchronize()
        return copied

    return wait
