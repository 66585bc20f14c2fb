"""The base of every options class: strict types, unknown keys refused, immutable."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
"""Name of a variant in the configuration: it becomes a folder name and a wildcard."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]

# Numbers of every other kind, with bounds beyond which nobody means what he writes: a run would end hours later in a
# lack of memory or in infinities, without the key.
Side = Annotated[int, Field(ge=1, le=65_535)]
"""Of an image or a part of one, in pixels: what JPEG can hold."""
Pixels = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""An area."""
Few = Annotated[int, Field(ge=1, le=1024)]
"""Of what each costs as much as all before, or a part of the machine: points along a side, threads, iterations."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""How many of something, at least one."""
CountOrNone = Annotated[int, Field(ge=0, le=10_000_000)]
"""How many of something, perhaps none."""
Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A weight, a distance, a time."""
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
"""The same, or none."""
Exponent = Annotated[float, Field(ge=0, le=10)]
"""Of something as large as an image."""
Sigma = Annotated[float, Field(ge=0, le=100)]
"""Standard deviation of a blur in pixels, 0 for none."""

LARGEST = 2**32 - 1
"""The largest whole number of any option: what NumPy takes as a seed, and more than anything here can count."""

LabelValue = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
"""A value in a label map from elsewhere."""

Seed = Annotated[int, Field(ge=0, le=LARGEST)]
"""Start of a random generator, NumPy's, scikit-learn's and torch's alike."""


@dataclass(frozen=True)
class Refers:
    """Marks a field whose value is the name of a variant of that group: `Annotated[Name, Refers("segmenters")]`."""

    group: str


class Options(BaseModel):
    """Options that change an output. What does not (device, batch sizes, threads) lives in `RuntimeOptions`."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="after")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        """A number beyond what the libraries below can count would fail in the middle of a run, without its key."""
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int | float) and abs(number) > LARGEST:
                raise ValueError(f"Input should be at most {LARGEST}")
        return value

    def canonical(self) -> dict[str, Any]:
        """All fields, defaults included, as JSON types: equal options give equal JSON."""
        return self.model_dump(mode="json")


class Kind(Options):
    """Options of one kind of segmenter, extractor or labeler, which say all that the rest of the code asks of a kind.

    A kind has a field `type`, a literal of its own. Nothing here imports the implementation: the workflow reads options
    when it is parsed, and torch takes seconds.
    """

    implementation: ClassVar[str]
    """Where the class is that does the work, as "module:class"; it is built from these options and a device."""
    uses_card: ClassVar[bool] = False
    """Whether its jobs want a card where there is one."""

    def weights(self) -> Path | None:
        """The local weight file that must be there before a job starts; None where none is needed."""
        return None

    def problems(self) -> Iterator[str]:
        """What is known to fail before any job starts, each as "key: reason"; missing weights are told elsewhere."""
        yield from ()

    def needs_network(self) -> Iterator[str]:
        """What it would have to download when its first job runs and cannot from here, each as "key: reason"."""
        yield from ()

    def content_of(self, image: str | None) -> str | None:
        """sha256 of what it reads about an image beside image and weights, of all images for None; None for nothing.

        It stands among what changes the output, so that only images whose content changed are made again.
        """
        return None

    def problems_with(self, images: Collection[str]) -> Iterator[str]:
        """What is wrong for a set of these images, each as "key: reason"."""
        yield from ()

    def told(self, images: Collection[str]) -> Iterator[str]:
        """What people should know about this kind and a set of these images, for the end of a run."""
        yield from ()


def canonical_json(value: Any) -> str:
    """One line of JSON with sorted keys: the form in which Snakemake records and compares parameters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
