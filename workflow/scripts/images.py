"""Rule images: the image list to results/images.tsv."""

from regionflow.formats.images import write_images
from regionflow.images.find import OUTPUTS, find_set
from regionflow.images.options import ImagesOptions
from regionflow.images.read import UnreadableImage
from regionflow.images.survey import survey
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ImagesOptions.model_validate(job.options["images"])
    found = find_set(options, [*OUTPUTS, job.outputs["table"].parent])
    rows = survey(found.images, options.reading, job.threads)
    bad = [(row.path, row.reason) for row in rows if row.status != "ok"] + [*found.left_out]
    if bad and job.runtime["on_bad_image"] == "fail":
        raise UnreadableImage("\n".join(f"{path}: {reason}" for path, reason in bad))
    write_images(job.outputs["table"], rows)
