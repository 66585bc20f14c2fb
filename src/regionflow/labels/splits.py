"""Which images the centres are fitted to. Splits are matched without case and blanks."""

from collections import defaultdict
from collections.abc import Mapping

from regionflow.base.errors import UserError
from regionflow.formats.images import TRAIN, HasSplit, plain_split

TRAIN_NAMES = (TRAIN, "training")


def fit_parts(images: Mapping[str, HasSplit], splits: list[str] | None = None) -> list[set[str]]:
    """Ids of the images of some splits, a part for each in the order asked; by default of the split train.

    One part with all images if nothing is asked for and there is no split train.

    Raises UserError for a split without images.
    """
    return _chosen(images, splits)[0]


def told_fit(images: Mapping[str, HasSplit], splits: list[str] | None = None) -> str:
    """One line for people: to which images of the set the centres are fitted, and why.

    Raises UserError for a split without images.
    """
    parts, names = _chosen(images, splits)
    counts = ", ".join(f"{name or '(none)'} {count}" for name, count in _counts(images).items())
    line = f"cluster centres are fitted to {sum(map(len, parts))} of {len(images)} images"
    if names:
        return f"{line}: those of the split {', '.join(names)} (the set has {counts})"
    if not any(entry.split for entry in images.values()):
        return f"{line}; the set has no splits"
    return f"{line}: no split is called train (the set has {counts}); clusters.fit_splits chooses"


def _chosen(images: Mapping[str, HasSplit], splits: list[str] | None) -> tuple[list[set[str]], list[str]]:
    """Ids of each split, and the splits; all ids and no splits where all images are taken."""
    ids: dict[str, set[str]] = defaultdict(set)
    for image, entry in images.items():
        ids[_key(entry.split)].add(image)
    unknown = sorted(split for split in splits or () if _key(split) not in ids)
    if unknown:
        known = ", ".join(sorted(ids)).lstrip(", ") or "none"
        raise UserError(f"clusters.fit_splits: no image has the split {', '.join(unknown)} (the set has: {known})")
    wanted = list(dict.fromkeys(map(_key, splits or ()))) or [name for name in TRAIN_NAMES if name in ids]
    return [ids[name] for name in wanted] or [set().union(*ids.values())], wanted


def _key(split: str) -> str:
    return plain_split(split).casefold()


def _counts(images: Mapping[str, HasSplit]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for entry in images.values():
        counts[entry.split] += 1
    return dict(sorted(counts.items()))
