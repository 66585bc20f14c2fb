"""Rule page: everything of one variant to one HTML page."""

from regionflow.report.build import Limits, Sources, build
from regionflow.report.named import LabelerFiles
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = job.options
    sizes = ("page_images", "page_side", "page_crops", "page_regions", "page_features", "reading")
    limits = Limits(*(options[name] for name in sizes))
    title = f"{job.names['extractor']} / {job.names['regions']}"
    files = {name: job.input(name) for name in job.inputs if ":" not in name}
    names = {**options["made_from"], **{name: [value] for name, value in job.names.items()}}
    labelers = {name: _labeler(job, name) for name in options["made_from"]["labeler"]}
    build(job.outputs["page"], title, Sources(**files, labelers=labelers, names=names), limits)


def _labeler(job: Job, name: str) -> LabelerFiles:
    """The files of one labeler: inputs `semantics:NAME`, and `classifier:NAME`, `suggestions:NAME` if it is fitted."""
    kinds = ("semantics", "classifier", "suggestions")
    return LabelerFiles(*(job.input(f"{kind}:{name}") if f"{kind}:{name}" in job.inputs else None for kind in kinds))
