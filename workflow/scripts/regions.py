"""Rule regions: one image's masks and superpixels to its regions."""

from dataclasses import asdict

from regionflow.config.types import RegionsOptions
from regionflow.formats import regions as records
from regionflow.regions.merge import merge
from regionflow.run.adapters import generator, read_png
from regionflow.run.job import Job


def run(job: Job) -> None:
    masks = records.read(job.input("masks")) if "masks" in job.inputs else None
    superpixels = records.read(job.input("superpixel_regions")) if "superpixels" in job.inputs else None
    sources = [file for file in (masks, superpixels) if file is not None]
    image = records.same_image(sources)
    annotations = []
    if image.error is None:
        labels = read_png(job.input("superpixels")) if superpixels else None
        options = RegionsOptions.model_validate(job.options["regions"])
        annotations = merge(masks.annotations if masks else [], labels, image.height, image.width, options)
    made_by = {file.generator.name: asdict(file.generator) for file in sources}
    records.write(job.outputs["regions"], image, annotations, generator(job, sources=made_by))
