"""What the jobs behind a page cost: those of its own variant, from the records of the jobs."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from regionflow.formats.records import Record, read_records

STAGES = (
    "images", "features", "masks", "superpixels", "regions", "pooled", "pooled_set", "clusters", "labels", "classifier",
    "semantics", "overlay", "contact_sheet",
)  # fmt: skip


Names = Mapping[str, Collection[str | None]]


def timings(records: Path, names: Names, images: Collection[str]) -> list[dict[str, Any]]:
    """Jobs, and seconds in all, on average and at most, of every stage.

    names: of each wildcard the variants that the page is made from; jobs of others are left out, and jobs of images
    that are not in the set any more.
    """
    rows = []
    for stage in STAGES:
        own = [r.seconds for r in read_records(stage, records) if _belongs(r, names, images)]
        if own:
            spent = {"total": round(sum(own), 3), "mean": round(sum(own) / len(own), 4), "max": round(max(own), 3)}
            rows.append({"stage": stage, "jobs": len(own), **spent})
    return sorted(rows, key=lambda row: -row["total"])


def _belongs(record: Record, names: Names, images: Collection[str]) -> bool:
    return all(
        value in images if name == "image" else name not in names or value in names[name]
        for name, value in record.names.items()
    )
