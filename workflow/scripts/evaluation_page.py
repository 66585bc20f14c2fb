"""Rule evaluation_page: all scores against the ground truth to one HTML page."""

from pathlib import Path

from regionflow.formats.layout import for_image
from regionflow.formats.regions import masks_of, read_regions
from regionflow.images.read import read_image
from regionflow.report.evaluation import Judged, build_evaluation
from regionflow.run.evaluation import opened
from regionflow.run.job import Job


def run(job: Job) -> None:
    images, truth, _ = opened(job)
    rows = {row.id: row for row in images}
    tables = {name: job.input(name) for name in ("masks", "regions", "clusters", "semantics")}
    kinds = [_judged(job, name.partition(":")[2]) for name in job.inputs if name.startswith("scores:")]

    def true_regions(image: str) -> list:
        known = truth.image(image, rows[image].height, rows[image].width)
        return [region.mask for region in known.regions if not region.crowd]

    build_evaluation(
        job.outputs["page"],
        tables,
        kinds,
        true_regions,
        lambda image: read_image(Path(rows[image].path), **job.options["reading"]),
    )


def _judged(job: Job, name: str) -> Judged:
    """A kind of region: inputs `scores:NAME` and `records:NAME`."""
    records = job.input(f"records:{name}")
    return Judged(
        f"regions: {name}",
        job.input(f"scores:{name}"),
        lambda image: masks_of(read_regions(for_image(records, image), image)),
    )
