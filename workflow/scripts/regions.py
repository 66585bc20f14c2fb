"""Rule regions: one image's masks and superpixels to its regions."""

from dataclasses import asdict

from regionflow.formats.labels import read_label_map
from regionflow.formats.regions import read_regions, same_image, write_regions
from regionflow.regions.merge import merge
from regionflow.regions.options import RegionsOptions
from regionflow.run.adapters import generator
from regionflow.run.job import Job


def run(job: Job) -> None:
    name = job.names["image"]
    masks = read_regions(job.input("masks"), name) if "masks" in job.inputs else None
    superpixels = read_regions(job.input("superpixel_regions"), name) if "superpixels" in job.inputs else None
    sources = [file for file in (masks, superpixels) if file is not None]
    image = same_image(sources)
    annotations = []
    if image.error is None:
        labels = read_label_map(job.input("superpixels"), name, (image.height, image.width)) if superpixels else None
        options = RegionsOptions.model_validate(job.options["regions"])
        annotations = merge(masks.annotations if masks else [], labels, image.height, image.width, options)
    made_by = {file.generator.name: asdict(file.generator) for file in sources}
    write_regions(job.outputs["regions"], image, annotations, generator(job, sources=made_by))
