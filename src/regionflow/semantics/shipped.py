"""Data that comes along: class tables, and examples for the sample photos."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

SHIPPED_TABLES = ("coco_133_to_28", "coco_28_to_19")
"""COCO panoptic's 133 classes to the 28 of the SAM + SEEM pipeline, and those to its 19."""
SHIPPED_EXAMPLES = ("sample_photos",)
"""Points in the sample photos; rocket and camera have none."""


def table_path(name: str) -> Path:
    """The file of a class table: that of a shipped name, or the path itself."""
    return _data(f"class_tables/{name}.tsv") if name in SHIPPED_TABLES else Path(name)


def examples_path(name: str) -> Path:
    """The file or folder of examples: that of a shipped name, or the path itself."""
    return _data(f"{name}.tsv") if name in SHIPPED_EXAMPLES else Path(name)


def coco_panoptic() -> list[str]:
    """COCO panoptic's 133 class names in the order of its models, with their suffixes (tree-merged, door-stuff)."""
    return _data("coco_panoptic.txt").read_text(encoding="utf-8").splitlines()


COCO_THINGS = 80
"""The first of COCO panoptic's classes are things, of which an image may hold several; the others are stuff."""


def known_things(names: Sequence[str]) -> list[bool] | None:
    """Whether each class is a thing, for names of COCO panoptic; None if there are others among them."""
    things = {name: number < COCO_THINGS for number, name in enumerate(coco_panoptic())}
    return [things[name] for name in names] if names and set(names) <= things.keys() else None


def _data(name: str) -> Path:
    return Path(str(resources.files("regionflow.semantics"))) / name
