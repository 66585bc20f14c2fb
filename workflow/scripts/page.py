"""Rule page: everything of one variant to one HTML page."""

from regionflow.report.build import Limits, Sources, build
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = job.options
    limits = Limits(
        options["page_images"],
        options["page_side"],
        options["page_crops"],
        options["page_regions"],
        options["reading"],
    )
    title = f"{job.names['extractor']} / {job.names['regions']}"
    build(job.outputs["page"], title, Sources(**{name: job.input(name) for name in job.inputs}), limits)
