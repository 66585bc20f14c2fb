"""Rule label_studio: the named regions of the set as Label Studio's tasks, and its project's setup."""

from regionflow.exports.label_studio import write_setup, write_tasks
from regionflow.exports.named import class_list, named
from regionflow.exports.photos import Photos
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    every = read_images(job.input("table"))
    rows = readable(every)
    images = named(rows, job.input("regions"), job.input("names"), job.input("maps"))
    write_tasks(job.outputs["tasks"], images, Photos(every), job.names["labeler"])
    write_setup(job.outputs["setup"], class_list(rows, job.input("names")).names)
