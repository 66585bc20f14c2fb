"""Functions that Snakemake calls for every job."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def signed(function: F) -> F:
    """The function with its signature noted, for inputs, params and resources of rules.

    Snakemake asks for it several times for every job; to work it out each time takes half a millisecond a job.
    """
    vars(function)["__signature__"] = inspect.signature(function)
    return function
