"""Rule report_index: all variants to one HTML page that leads to theirs."""

from pathlib import Path

from regionflow.images.read import read_image
from regionflow.report.index import Variant, build_index
from regionflow.run.job import Job


def run(job: Job) -> None:
    variants = [
        Variant(
            f"{names['extractor']} / {names['regions']}",
            *(job.input(f"{kind}:{names['extractor']}/{names['regions']}") for kind in ("labels", "maps", "centroids")),
            names={key: value if isinstance(value, list) else [value] for key, value in names.items()},
        )
        for names in job.options["variants"]
    ]
    links = dict(job.options["links"])
    if "parts" in job.inputs:
        links["Parts"] = job.input("parts").name
    build_index(
        job.outputs["page"],
        job.input("table"),
        variants,
        photo=lambda row: read_image(Path(row.path), **job.options["reading"]),
        records=job.input("records"),
        links=links,
    )
