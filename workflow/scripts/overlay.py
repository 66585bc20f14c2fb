"""Rule overlay: photo, masks, regions and labels of one image side by side."""

from PIL import Image

from regionflow import pictures, records
from regionflow.job import Job
from regionflow.stage_io import open_image, read_png


def run(job: Job) -> None:
    image, info = open_image(job)
    if image is None:
        picture = pictures.notice(f"{info.file_name}: {info.error}")
    else:
        regions = records.read(job.input("regions"))
        picture = pictures.panels(image, regions, read_png(job.input("labels")), job.options["max_side"])
    Image.fromarray(picture).save(job.outputs["overlay"], format="JPEG", quality=90)
