"""What a GPU's memory can take."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


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
