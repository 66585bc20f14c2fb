"""What a run says at its end: what could not be read, what was left out, and to what the centres were fitted."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.base.options import Kind
from regionflow.config.references import targeted
from regionflow.config.types import Config
from regionflow.formats.images import ImageRow, read_images
from regionflow.formats.problems import problems_summary
from regionflow.images.find import ImageSet
from regionflow.labels.splits import told_fit


def end_of_run(
    config: Config, images: ImageSet, table: str | Path, problems: str | Path, more: Iterable[str] = ()
) -> str:
    """A few lines for people; only what is known, where a run ended early. `more`: further lines, "" for none."""
    kinds = [options for _, options in targeted(config) if isinstance(options, Kind)]
    lines = [problems_summary(problems), *images.told(), *(line for kind in kinds for line in kind.told(images.images))]
    if Path(table).is_file():
        lines += _of_the_table(config, images, Path(table))
    return "\nregionflow: ".join(line for line in (*lines, *more) if line)


def look_at(files: Sequence[str | Path]) -> str:
    """The files of a finished run that people look at first, of those that are there."""
    there = [str(file) for file in files if Path(file).is_file()]
    return "\n  ".join(["regionflow: look at", *there]) if there else ""


def _of_the_table(config: Config, images: ImageSet, table: Path) -> list[str]:
    try:
        return [_notes(read_images(table), table), _fit(config, images)]
    except UserError as error:
        return [str(error)]


def _notes(rows: list[ImageRow], table: Path) -> str:
    notes = [row for row in rows if row.note]
    return f"{len(notes)} image(s) have a note in {table}; the first: {notes[0].id}: {notes[0].note}" if notes else ""


def _fit(config: Config, images: ImageSet) -> str:
    if config.clusters.model is not None:
        return f"clusters are those of {config.clusters.model} (clusters.model); nothing is fitted"
    return told_fit(images.images, config.clusters.fit_splits)
