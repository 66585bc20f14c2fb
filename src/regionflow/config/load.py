"""Check a configuration: all errors at once, each with the path of its key."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from regionflow.base.errors import UserError
from regionflow.config.references import references
from regionflow.config.texts import scalar
from regionflow.config.types import Config

Path = tuple[int | str, ...]
"""Keys from the root of the configuration down to a value."""


class ConfigError(UserError):
    """The configuration cannot be used; the text lists every error with the path of its key."""

    @classmethod
    def of(cls, problems: list[str]) -> "ConfigError":
        """The error that lists these."""
        return cls(f"{len(problems)} error(s) in the configuration:\n" + "\n".join(f"  {p}" for p in problems))


def load_config(values: Mapping[str, Any]) -> Config:
    """Check the values of a configuration file; what is not given takes its default.

    Raises ConfigError that lists all errors.
    """
    config, problems = check_config(values)
    if problems:
        raise ConfigError.of(problems)
    return config


def check_config(values: Mapping[str, Any]) -> tuple[Config, list[str]]:
    """The configuration with defaults for what is wrong in it, and every error: so the rest can be checked as well.

    A number, boolean or null that arrives as text (`1e-4` in YAML, everything nested in `--config`) is read as such
    where the key takes no text.
    """
    problems: list[str] = []
    told: set[Path] = set()
    sound = _copy(dict(values))
    while True:
        try:
            config = Config.model_validate(sound)
            break
        except ValidationError as error:
            mistakes = {_key_path(mistake["loc"])[0]: mistake for mistake in reversed(error.errors())}
            wrong = {path: mistake for path, mistake in mistakes.items() if not _read_text(sound, path, mistake)}
            # What held an error may be wrong now for the lack of it.
            new = [path for path in reversed(wrong) if not any(other[: len(path)] == path for other in told)]
            problems += [_describe(wrong[path]) for path in new]
            told |= wrong.keys()
            # From the last to the first, so that removing an element of a list leaves the places of those before.
            removed = [_remove(sound, path) for path in wrong]
            if wrong and not any(removed):
                return Config(), problems
    return config, [*problems, *_bad_references(config, values)]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _read_text(values: Any, path: Path, mistake: ErrorDetails) -> bool:
    """Put what a text says in its place, if it says a number, boolean or null where text is not taken."""
    text = mistake["input"]
    if not isinstance(text, str) or not mistake["type"].endswith("_type") or scalar(text) is text:
        return False
    for step in path[:-1]:
        values = values[step]
    values[path[-1]] = scalar(text)
    return True


def _remove(values: Any, path: Path) -> bool:
    """Remove the value at the path, or what holds it if it is a default; False if nothing was there."""
    holders: list[tuple[Any, Any]] = []
    step: Any
    for step in path:
        if not ((isinstance(values, dict) and step in values) or (isinstance(values, list) and isinstance(step, int))):
            break
        holders.append((values, step))
        values = values[step]
    if holders:
        holder, step = holders[-1]
        del holder[step]
    return bool(holders)


def _describe(error: ErrorDetails) -> str:
    path, siblings = _key_path(error["loc"])
    key = ".".join(map(str, path))
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key" + _hint(str(error["loc"][-1]), siblings)
    if error["type"] == "union_tag_not_found":
        return f"{key}: needs a type"
    text = error["msg"].removeprefix("Value error, ")
    shown = repr(error["input"])
    if error["type"] == "missing" or len(shown) > 60 or isinstance(error["input"], dict):
        return f"{key}: {text}"
    return f"{key}: {text}, not {shown}"


def _key_path(location: Path) -> tuple[Path, list[str]]:
    """The keys of a location as written in the file, and the known keys beside the last.

    pydantic's location also holds the tag of a union member (segmenters.x.sam.points_per_side), which is no key, and
    says whether a key is meant (superpixels.a/b.[key]).
    """
    keys: list[int | str] = []
    siblings: list[str] = []
    annotation: Any = Config
    for step in location:
        if get_origin(annotation) in (Union, UnionType):
            annotation = _member(annotation, step)
            continue
        if step == "[key]":
            break
        keys.append(step)
        siblings = list(getattr(annotation, "model_fields", {}))
        annotation = _child(annotation, step)
    return tuple(keys), siblings


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


def _bad_references(config: Config, values: Mapping[str, Any]) -> Iterator[str]:
    """Names that are used but not declared, not even by a variant that has errors of its own."""
    for key, name, group in references(config):
        declared = getattr(config, group)
        attempted = values.get(group)
        if name not in declared and not (isinstance(attempted, Mapping) and name in attempted):
            yield f"{key}: {name!r} is not declared under {group}" + _hint(name, list(declared))


def undeclared(config: Config, group: str, name: str) -> ConfigError:
    """The error for a variant that a command or a path names and the configuration does not have."""
    declared = list(getattr(config, group))
    near = get_close_matches(name, declared, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else f" (known: {', '.join(declared)})"
    return ConfigError(f"{name!r} is not declared under {group} in the configuration{hint}")
