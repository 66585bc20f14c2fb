"""Rule named_table: the named regions of the set to one CSV file."""

from regionflow.exports.named import named, write_named_table
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    write_named_table(job.outputs["csv"], named(rows, job.input("regions"), job.input("names"), job.input("maps")))
