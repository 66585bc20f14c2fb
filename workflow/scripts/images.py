"""Rule images: the image list to results/images.tsv."""

from regionflow.formats.images import write_images
from regionflow.images.find import find_images
from regionflow.images.options import ImagesOptions
from regionflow.images.read import UnreadableImage
from regionflow.images.survey import survey
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ImagesOptions.model_validate(job.options["images"])
    rows = survey(find_images(options), options.max_megapixels, job.threads)
    bad = [row for row in rows if row.status != "ok"]
    if bad and job.runtime["on_bad_image"] == "fail":
        raise UnreadableImage("\n".join(f"{row.path}: {row.reason}" for row in bad))
    write_images(job.outputs["table"], rows)
