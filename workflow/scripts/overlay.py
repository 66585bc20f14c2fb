"""Rule overlay: photo, masks, regions and labels of one image side by side."""

from PIL import Image

from regionflow.formats import regions as records
from regionflow.report import panels as pictures
from regionflow.run.adapters import open_image, read_png
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    if image is None:
        picture = pictures.notice(f"{info.file_name}: {info.error}")
    else:
        regions = records.read(job.input("regions"))
        picture = pictures.panels(image, regions, read_png(job.input("labels")), job.options["max_side"])
    Image.fromarray(picture).save(job.outputs["overlay"], format="JPEG", quality=90)
