"""What the page tells of labelers: their classes, how examples were guessed, which regions are worth labelling next."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regionflow.base.errors import BadFile
from regionflow.formats.checksums import note_file
from regionflow.formats.classifiers import read_classifier, read_validation


@dataclass(frozen=True)
class LabelerFiles:
    """The files of one labeler: a pattern with {image}, and what is there only if it is fitted to examples."""

    semantics: Path
    classifier: Path | None = None
    suggestions: Path | None = None


def fit_of(files: LabelerFiles, places: Mapping[str, int]) -> dict[str, Any] | None:
    """How well the examples are guessed from those of other images, and what is worth labelling next.

    places: of each image its place in the table. None for a labeler that is not fitted.
    """
    if files.classifier is None:
        return None
    names, said = read_classifier(files.classifier).names, read_validation(files.classifier)
    known = said.guess >= 0
    per_class = [
        {
            "name": name,
            "examples": int((said.truth == c).sum()),
            "guessed": int((known & (said.truth == c)).sum()),
            "right": int((known & (said.truth == c) & (said.guess == c)).sum()),
        }
        for c, name in enumerate(names)
    ]
    examples = [
        [places[image], int(region), names[truth], names[guess] if guess >= 0 else None]
        for image, region, truth, guess in zip(said.image, said.region, said.truth, said.guess, strict=True)
        if image in places
    ]
    return {
        "examples": len(said.truth),
        "guessed": said.guessed,
        "accuracy": None if np.isnan(said.accuracy) else round(said.accuracy, 4),
        "classes": per_class,
        "table": examples,
        "next": [] if files.suggestions is None else suggestions_of(files.suggestions, places),
    }


def suggestions_of(path: Path, places: Mapping[str, int]) -> list[dict[str, Any]]:
    """The regions worth labelling next, with the likeliest class and by how much it leads.

    Raises BadFile, naming the file, if it is no such table.
    """
    try:
        note_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {
                    "image": places[row["image"]],
                    "region": int(row["region_id"].rpartition("_")[2]),
                    "guess": row["class"],
                    "margin": float(row["margin"]),
                }
                for row in csv.DictReader(file, delimiter="\t")
                if row["image"] in places
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise BadFile.damaged(path, "a table of regions worth labelling", error) from error
