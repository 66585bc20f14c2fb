"""Rule images: the image list to results/images.tsv."""

from regionflow.config.types import ImagesOptions
from regionflow.formats import images as image_table
from regionflow.images.find import find_images
from regionflow.images.read import UnreadableImage
from regionflow.run.job import Job


def run(job: Job) -> None:
    options = ImagesOptions.model_validate(job.options["images"])
    rows = image_table.survey(find_images(options), options.max_megapixels, job.threads)
    bad = [row for row in rows if row.status != "ok"]
    if bad and job.runtime["on_bad_image"] == "fail":
        raise UnreadableImage("\n".join(f"{row.path}: {row.reason}" for row in bad))
    image_table.write(job.outputs["table"], rows)
