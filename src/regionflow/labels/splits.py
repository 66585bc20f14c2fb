"""Which images the centres are fitted to."""

from collections import defaultdict
from collections.abc import Iterable

from regionflow.base.errors import UserError
from regionflow.formats.images import TRAIN, ImageRow


def fit_images(rows: Iterable[ImageRow], splits: list[str] | None = None) -> set[str]:
    """Ids of the images of some splits; by default of the split train, or of all images if there is no such split.

    Raises UserError for a split without images.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        ids[row.split].add(row.id)
    unknown = sorted(set(splits or ()) - set(ids))
    if unknown:
        known = ", ".join(sorted(ids)).lstrip(", ") or "none"
        raise UserError(f"clusters.fit_splits: no image has the split {', '.join(unknown)} (the set has: {known})")
    wanted = splits or ([TRAIN] if TRAIN in ids else list(ids))
    return set().union(*(ids[split] for split in wanted))
