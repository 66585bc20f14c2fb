"""Check a configuration: all errors at once, each with the path of its key."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from regionflow.base.errors import UserError
from regionflow.base.options import Refers
from regionflow.config.types import Config


class ConfigError(UserError):
    """The configuration cannot be used; the text lists every error with the path of its key."""


def load_config(values: Mapping[str, Any]) -> Config:
    """Check the values of a configuration file; what is not given takes its default.

    Raises ConfigError that lists all errors.
    """
    try:
        config = Config.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_listing([_describe(e) for e in error.errors()])) from None
    problems = list(_bad_references(config))
    if problems:
        raise ConfigError(_listing(problems))
    return config


def _listing(problems: list[str]) -> str:
    return f"{len(problems)} error(s) in the configuration:\n" + "\n".join(f"  {p}" for p in problems)


def _describe(error: ErrorDetails) -> str:
    key, siblings = _key_path(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key" + _hint(str(error["loc"][-1]), siblings)
    text = error["msg"].removeprefix("Value error, ")
    shown = repr(error["input"])
    if error["type"] == "missing" or len(shown) > 60 or isinstance(error["input"], dict):
        return f"{key}: {text}"
    return f"{key}: {text}, not {shown}"


def _key_path(location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """The key's path as written in the file, and the known keys beside it.

    pydantic's location also holds the tag of a union member (segmenters.x.sam.points_per_side), which is no key.
    """
    parts: list[str] = []
    siblings: list[str] = []
    annotation: Any = Config
    for step in location:
        if get_origin(annotation) in (Union, UnionType):
            annotation = _member(annotation, step)
            continue
        parts.append(str(step))
        siblings = list(getattr(annotation, "model_fields", {}))
        annotation = _child(annotation, step)
    return ".".join(parts), siblings


def _child(annotation: Any, step: int | str) -> Any:
    """The type below a key: of a field, or of the values of named variants or a list."""
    if hasattr(annotation, "model_fields"):
        field = annotation.model_fields.get(step)
        annotation = field.annotation if field else None
    else:
        annotation = next(iter(get_args(annotation)[-1:]), None)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _member(union: Any, tag: int | str) -> Any:
    """The member of a tagged union that has the tag."""
    for member in get_args(union):
        field = getattr(member, "model_fields", {}).get("type")
        if field is not None and tag in get_args(field.annotation):
            return member
    return None


def _hint(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f" (known: {', '.join(known)})" if known else ""


def _bad_references(config: Config) -> Iterator[str]:
    """Names that are used but not declared."""
    for key, name, group in _references(config, Config, ""):
        declared = getattr(config, group)
        if name not in declared:
            yield f"{key}: {name!r} is not declared under {group}" + _hint(name, list(declared))


def _references(value: Any, annotation: Any, key: str) -> Iterator[tuple[str, str, str]]:
    """(key path, name, group) of every value whose type is marked with `Refers`."""
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
