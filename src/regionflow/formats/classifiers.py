"""A classifier of region features, fitted to examples: arrays and attributes in HDF5, never a pickle.

Datasets: `mean`, `scale` [C] standardise a feature; `weights` [K, C] and `bias` [K] give the logits of K classes
(`names`), whose softmax are the probabilities; `examples` [K] per class. The examples themselves with what
cross-validation says of each: `example_image`, `example_region`, `example_class`, `example_guess` [E] (-1: no other
image has an example of its class).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regionflow.formats.hdf5 import open_hdf5, read_attribute, write_attribute, write_hdf5, write_strings

WHAT = "a classifier of regions"


@dataclass(frozen=True)
class Classifier:
    """A linear classifier of standardised features; `method` says how it was fitted."""

    names: list[str]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    examples: NDArray[np.int64]
    method: str

    def __post_init__(self) -> None:
        channels, classes = len(self.mean), len(self.names)
        shapes = (self.scale.shape, self.weights.shape, self.bias.shape, self.examples.shape)
        if shapes != ((channels,), (classes, channels), (classes,), (classes,)) or not classes:
            raise ValueError(f"arrays of shapes {shapes} for {classes} classes of {channels} channels")
        if not all(np.isfinite(a).all() for a in (self.mean, self.scale, self.weights, self.bias)):
            raise ValueError("values that are not finite")


@dataclass(frozen=True)
class Validation:
    """Cross-validation by image: per example the image, region number, class and guessed class (-1: not guessed)."""

    image: list[str]
    region: NDArray[np.int64]
    truth: NDArray[np.int64]
    guess: NDArray[np.int64]

    @property
    def guessed(self) -> int:
        """Examples whose class has an example in another image too."""
        return int((self.guess >= 0).sum())

    @property
    def accuracy(self) -> float:
        """Share of the guessed examples whose guess is right; NaN without any."""
        return float((self.guess == self.truth).sum() / self.guessed) if self.guessed else float("nan")


def write_classifier(
    path: Path, classifier: Classifier, validation: Validation, provenance: Mapping[str, object]
) -> None:
    """Write a classifier and what cross-validation said of it."""
    with write_hdf5(path, provenance) as file:
        write_strings(file, "names", classifier.names)
        for name in ("mean", "scale", "weights", "bias", "examples"):
            file[name] = getattr(classifier, name)
        write_strings(file, "example_image", validation.image)
        file["example_region"], file["example_class"] = validation.region, validation.truth
        file["example_guess"] = validation.guess
        write_attribute(file, "method", classifier.method)


def read_classifier(path: Path) -> Classifier:
    """Read a classifier.

    Raises BadFile, naming the file, if it is none or damaged.
    """
    with open_hdf5(path, WHAT) as file:
        arrays = {name: file[name][:] for name in ("mean", "scale", "weights", "bias", "examples")}
        return Classifier(names=list(file["names"].asstr()[:]), method=read_attribute(file, "method") or "", **arrays)


def read_validation(path: Path) -> Validation:
    """Read what cross-validation said.

    Raises BadFile as `read_classifier`.
    """
    with open_hdf5(path, WHAT) as file:
        arrays = [file[f"example_{name}"][:] for name in ("region", "class", "guess")]
        return Validation(list(file["example_image"].asstr()[:]), *arrays)
