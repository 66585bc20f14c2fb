"""Rule metadata: the regions and labels of the set as metadata.jsonl beside the photos."""

from regionflow.exports.colour_maps import classes
from regionflow.exports.labelled import labelled
from regionflow.exports.metadata import write_metadata
from regionflow.exports.photos import photos_of
from regionflow.formats.clusters import read_centres
from regionflow.formats.images import read_images, readable
from regionflow.run.adapters import class_list
from regionflow.run.job import Job


def run(job: Job) -> None:
    every = read_images(job.input("table"))
    images = labelled(readable(every), job.input("regions"), job.input("labels"))
    clusters = classes(len(read_centres(job.input("centroids"), foreign=True)), class_list(job))
    write_metadata(
        job.outputs["metadata"], images, clusters, photos_of(every, job.options["coco"], job.input("photos"))
    )
