"""From the options of a kind to the class that does the work."""

from importlib import import_module
from typing import Any

from pydantic import TypeAdapter

from regionflow.base.options import Kind


def implementation(options: Kind) -> Any:
    """The class that a kind names, imported now: each brings libraries that the others do not need."""
    module, _, name = options.implementation.partition(":")
    return getattr(import_module(module), name)


def read_kind(union: Any, values: Any) -> Kind:
    """The options of one of a union's kinds from what `canonical` gave.

    Raises pydantic.ValidationError if they are of none.
    """
    options: Kind = TypeAdapter(union).validate_python(values)
    return options
