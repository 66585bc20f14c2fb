"""Rule masks: one image to its mask file."""

from regionflow.formats.features import read_features
from regionflow.formats.regions import Annotation, write_regions
from regionflow.masks.kinds import masks_of_image
from regionflow.run.adapters import generator, open_image, segmenter_of
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    annotations: list[Annotation] = []
    if image is not None:
        maps = [read_features(path, job.names["image"]) for path in job.input_list("features")]
        annotations = masks_of_image(segmenter_of(job), image, job.names["image"], maps[0] if maps else None)
    write_regions(job.outputs["masks"], info, annotations, generator(job))
