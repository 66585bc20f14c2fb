"""What a stage reads of its options on the way from its job to the library, however it reads it.

Three things are watched while a stage runs: the dictionaries of its job, the fields of every `Options` object, and the
arguments of the image loader. A field or argument that the job did not give has the library's default: reading it is
reading an option that nobody declared. Files that are opened are watched as well, for what is in them counts too.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from regionflow.base.options import Options
from regionflow.images import read
from regionflow.run.job import Job

READING = ("max_megapixels", "bands", "scale_16bit")


@dataclass
class Reads:
    """What one stage has read.

    keys: paths in the options of its job, "extractor.stored".
    runtime: the same of what it is told of how to work.
    fields: (class, field) of Options objects, where the field was given.
    defaults: the same where it was not.
    objects: the Options objects themselves.
    reading: argument of the image loader and its value, where one was given.
    files: what was opened to be read.
    """

    keys: set[str] = field(default_factory=set)
    runtime: set[str] = field(default_factory=set)
    fields: set[tuple[type[Options], str]] = field(default_factory=set)
    defaults: set[str] = field(default_factory=set)
    objects: list[Options] = field(default_factory=list)
    reading: dict[str, list[Any]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)


class Watched(dict[str, Any]):
    """A dictionary that notes which of its keys are asked for; passing it on or writing it down asks for none."""

    def __init__(self, content: Any = (), asked: set[str] | None = None, prefix: str = "") -> None:
        self._asked, self._prefix = set() if asked is None else asked, prefix  # a copy of it has a set of its own
        super().__init__({key: self._watched(key, value) for key, value in dict(content).items()})

    def _watched(self, key: str, value: Any) -> Any:
        return Watched(value, self._asked, f"{self._prefix}{key}.") if isinstance(value, dict) else value

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def _note(self, key: str) -> None:
        if "/pydantic/" not in sys._getframe(2).f_code.co_filename:  # it asks for each to make an object of them
            self._asked.add(self._prefix + key)


class _Default:
    """In the place of a default value of the image loader."""

    def __init__(self, value: Any) -> None:
        self.value = value


_opened: list[set[Path]] = []


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened and isinstance(arguments[0], str | Path):
        path, mode, flags = arguments
        if not set(mode or "") & {"w", "a", "x", "+"} and not (flags or 0) & (os.O_WRONLY | os.O_RDWR):
            _opened[-1].add(Path(path).absolute())


sys.addaudithook(_note_open)  # for good: it does nothing while nobody watches


@contextmanager
def watching(job: Job, reads: Reads) -> Iterator[Job]:
    """The same job; what it reads while the block runs is added to `reads`."""
    with pytest.MonkeyPatch.context() as patch:
        _watch_options(patch, reads)
        _watch_image_loader(patch, reads)
        _opened.append(reads.files)
        try:
            yield replace(job, options=Watched(job.options, reads.keys), runtime=Watched(job.runtime, reads.runtime))
        finally:
            _opened.pop()


def _watch_options(patch: pytest.MonkeyPatch, reads: Reads) -> None:
    plain = Options.__getattribute__

    def attribute(self: Options, name: str) -> Any:
        kind = type(self)
        if name in kind.__pydantic_fields__ and not _in_a_validator(kind):
            if name in plain(self, "__pydantic_fields_set__"):
                reads.fields.add((kind, name))
            else:
                reads.defaults.add(f"{kind.__name__}.{name}")
            if not any(self is known for known in reads.objects):
                reads.objects.append(self)
        return plain(self, name)

    patch.setattr(Options, "__getattribute__", attribute)


@cache
def _validators(kind: type[Options]) -> frozenset[CodeType]:
    """The code of a class's validators, which read fields of every object that is made."""
    decorators = kind.__pydantic_decorators__
    found = [*decorators.model_validators.values(), *decorators.field_validators.values()]
    return frozenset(inspect.unwrap(getattr(one.func, "__func__", one.func)).__code__ for one in found)


def _in_a_validator(kind: type[Options]) -> bool:
    """Whether the field is read by a validator of its class, be it through a property."""
    frame = sys._getframe(2)
    while frame and frame.f_code.co_filename.endswith("options.py"):
        if frame.f_code in _validators(kind):
            return True
        frame = frame.f_back
    return False


def _watch_image_loader(patch: pytest.MonkeyPatch, reads: Reads) -> None:
    """Every call of `read_image` and `look`, whatever module it comes from; pictures that we made have no options."""
    plain_within, plain_look = read._within, read._look
    seconds: list[Any] = []

    def note(path: Path, name: str, value: Any) -> Any:
        if not isinstance(value, _Default):
            reads.reading.setdefault(name, []).append(value)
            return value
        if "results" not in path.resolve().parts:
            reads.defaults.add(f"read_image.{name}")
        return value.value

    def within(value: Any, work: Callable[[], Any]) -> Any:
        seconds[:] = [value]
        return plain_within(value.value if isinstance(value, _Default) else value, work)

    def look(path: Path, *values: Any) -> Any:
        note(path, "max_seconds", seconds[0])
        return plain_look(path, *(note(path, name, value) for name, value in zip(READING, values, strict=True)))

    for function in (read.read_image, read.look):
        patch.setattr(function, "__defaults__", tuple(map(_Default, function.__defaults__ or ())))
    patch.setattr(read, "_within", within)
    patch.setattr(read, "_look", look)
