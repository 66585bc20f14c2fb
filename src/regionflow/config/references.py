"""Names of variants inside the configuration: where they stand, and what the targets come to by them."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import BaseModel

from regionflow.base.options import Options, Refers
from regionflow.config.types import Config


def references(options: Options, key: str = "") -> Iterator[tuple[str, str, str]]:
    """(key path, name, group) of every value whose type is marked with `Refers`, below `key`."""
    yield from _references(options, type(options), key)


def targeted(config: Config) -> Iterator[tuple[str, Options]]:
    """(key path, options) of every declared variant that the targets need, directly or through another variant."""
    pending = [(group, name) for _, name, group in references(config.targets)]
    pending += [("labelers", name) for name in config.targeted_labelers]
    seen: set[tuple[str, str]] = set()
    while pending:
        group, name = pending.pop(0)
        if (group, name) in seen or name not in getattr(config, group):
            continue
        seen.add((group, name))
        options = getattr(config, group)[name]
        yield f"{group}.{name}", options
        pending += [(group, name) for _, name, group in references(options)]


def _references(value: Any, annotation: Any, key: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            marked = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            yield from _references(getattr(value, name), marked, f"{key}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _references(inner, get_args(annotation)[-1:], f"{key}.{name}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _references(inner, annotation, f"{key}.{i}")
    elif isinstance(value, str) and (group := _refers_to(annotation)):
        yield key, value, group


def _refers_to(annotation: Any) -> str | None:
    """The group of the first `Refers` inside a type, however deep."""
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        if isinstance(part, Refers):
            return part.group
        if group := _refers_to(part):
            return group
    return None
