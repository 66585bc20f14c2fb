"""The labelled regions that a file or a folder of examples means, whatever its form."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from regionflow.formats.regions import RegionFile
from regionflow.semantics import drawn_examples, example_masks
from regionflow.semantics.example_files import LabelledRegion, class_names, read_tsv, resolve


def read_examples(
    path: Path,
    classes: Sequence[str] | None,
    purity: float,
    images: Collection[str],
    regions: Callable[[str], RegionFile],
) -> tuple[list[LabelledRegion], list[str], list[str]]:
    """The labelled regions of a file or folder of examples, the class names in order, and notes on what was left out.

    `images` are all ids of the set, `regions` gives the region file of one. Raises BadExamples, naming every mistake.
    """
    if path.is_dir():
        names = list(classes or ())
        return example_masks.from_label_maps(path, names, images, regions, purity), names, []
    if path.suffix.lower() in drawn_examples.SUFFIXES:
        return example_masks.from_drawn(path, classes, purity, images, regions)
    examples = read_tsv(path, classes, images)
    labelled, notes = resolve(path, examples, regions)
    return labelled, class_names(examples, classes), notes


def check_examples(path: Path, classes: Sequence[str] | None) -> None:
    """Raise BadExamples with all mistakes in a file that can be seen without images."""
    if path.suffix.lower() in drawn_examples.SUFFIXES:
        example_masks.checked(path, classes)
    else:
        read_tsv(path, classes)
